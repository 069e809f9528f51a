"""How good and how private recovered images are."""
