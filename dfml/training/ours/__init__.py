"""What is ours and no paper's: imported where a config switches it on, and nowhere else in the published methods."""
