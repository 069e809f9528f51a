"""What happens to recovered tasks before they are learned from: embedding, diversity, curriculum."""
