"""Prompt search like hyperparameter search: a space of settings, a searcher that draws points of
it, a scheduler that stops early.

Only `tuning.py` and what it builds know Ray Tune; the rest reads settings and plans points.
"""
