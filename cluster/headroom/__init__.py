"""Headroom check and cost estimate of an experiment before its budget is spent."""
