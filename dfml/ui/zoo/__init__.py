"""The pages of the start and of the zoo."""
