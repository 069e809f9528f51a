"""Pictures: class folders, packed arrays, class splits, episodes, pseudo tasks, safe uploads."""
