"""Analyses of finished trials, without any output form."""
