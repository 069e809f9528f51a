"""Whole runs on a cluster: the worker's side, the asker's side, and the run's folder, which both have."""
