"""The page on which teachers are inverted."""
