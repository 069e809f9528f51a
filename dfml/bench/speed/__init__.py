"""``bench speed``: the program's loops beside plain PyTorch loops of the same operations."""
