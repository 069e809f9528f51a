"""What methods share: their contract, records, validation, recovered tasks, policies over teachers."""
