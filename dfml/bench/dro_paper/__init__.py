"""The benchmarks of the DRO paper: its protocol on images, and its sinusoids."""
