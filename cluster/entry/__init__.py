"""The ways into an experiment: a settings file, a bundled one, or data with options."""
