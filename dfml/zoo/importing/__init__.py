"""Classifiers that somebody trained elsewhere, brought into a zoo: read, identified, completed, and tried."""
