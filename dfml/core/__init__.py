"""What every room shares: configs, registries, events, errors, seeds, paths. Imports no torch."""
