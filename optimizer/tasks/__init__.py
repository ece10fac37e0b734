"""Tasks: their data in train, dev and test splits, and the readers of task files."""
