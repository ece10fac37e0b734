"""Hosting of models on Ray Serve."""
