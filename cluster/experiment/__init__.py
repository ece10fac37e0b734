"""One experiment: planned, prepared, run on Ray and shown while it runs."""
