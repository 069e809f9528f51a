"""What each part of a method is worth: its training with the part and without."""
