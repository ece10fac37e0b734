"""Settings of an experiment as a YAML file and the command line give them."""
