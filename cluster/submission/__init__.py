"""Experiments as jobs of a Ray cluster: what travels there, what the job is run with, and the job's
life.
"""
