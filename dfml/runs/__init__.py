"""Runs: all long work as a folder that outlives the tab, the server and the process that made it.

The reading side (``folder``, ``launcher``, ``spec``, ``status``, ``metrics``) imports no torch.
"""
