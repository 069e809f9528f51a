"""The page on which meta-models are trained."""
