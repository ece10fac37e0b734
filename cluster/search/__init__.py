"""Prompt search like hyperparameter search: spaces of settings, searchers, schedulers.

A searcher samples points of a space, a scheduler stops trials early. Only what builds Ray Tune's
objects knows Tune; the rest reads settings and plans points.
"""
