"""What a run will take: least memory, a measured dry run, and what follows from it."""
