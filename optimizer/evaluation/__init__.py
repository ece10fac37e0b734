"""Evaluation: answers and standings of prompts on a task, and the probe of its headroom."""
