"""Plain PyTorch loops of the same operations as the program's own, for ``bench speed``; of dfml they take the nets."""
