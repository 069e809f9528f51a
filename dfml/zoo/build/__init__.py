"""Making zoos: pre-training, pollution, and collecting models that others trained."""
