"""The implementations of core.backend.JobBackend, and what they alone use."""
