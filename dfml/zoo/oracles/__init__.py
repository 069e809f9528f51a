"""Questions to a teacher: gradients, or queries only, one teacher or several in one pass."""
