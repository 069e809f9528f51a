"""Plain PyTorch loops of the same operations as the program's own, for ``bench speed``.

Of dfml they take the networks and, in inversions, their statistics of a batch: sums in another order grow through Adam
to other images, so that nothing could be compared.
"""
