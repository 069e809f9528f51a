"""Whom to trust of a zoo, and what its networks remember of their training images."""
