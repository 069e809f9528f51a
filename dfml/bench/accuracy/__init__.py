"""``bench accuracy``: its comparison of methods, and the tables and notes of its report."""
