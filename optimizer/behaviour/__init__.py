"""Search over behaviour: decompose, demonstrate, localise, refine, and the settings they share."""
