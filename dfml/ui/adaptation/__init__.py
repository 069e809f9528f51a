"""The page on which a meta-model adapts to support images."""
