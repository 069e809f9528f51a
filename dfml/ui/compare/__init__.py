"""The page on which runs are compared, named, noted, exported and deleted."""
