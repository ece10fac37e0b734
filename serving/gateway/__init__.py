"""The gateway: an OpenAI-compatible HTTP interface over any language models.

It has keys, limits and metrics of its own.
"""
