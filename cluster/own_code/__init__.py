"""Code of a user's own that settings list: read, made importable, sent to where it runs."""
