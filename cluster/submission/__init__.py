"""Experiments as jobs of a Ray cluster: their packaging, their environment and their life."""
