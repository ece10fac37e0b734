"""The shell around optimizer and serving: command line, experiments on Ray, results, service."""
