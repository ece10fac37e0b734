"""The gateway: an OpenAI-compatible HTTP interface over any language models, with keys, limits and
metrics of its own.
"""
