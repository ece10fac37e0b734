"""The rulebook: the built-in optimizer model, one file for each operator's rule."""
