"""What the lessons of the guide show, measured by ``bench lessons``: a file for each lesson."""
