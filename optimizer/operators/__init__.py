"""Operators: the questions that a search asks the optimizer model, and their readers."""
