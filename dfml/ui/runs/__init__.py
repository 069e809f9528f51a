"""Lists, tables and panels of runs, on several pages."""
