"""Images: class folders, packed arrays, class splits, episodes, pseudo tasks, uploads."""
