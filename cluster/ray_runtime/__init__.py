"""Ray itself: starting or joining it, and keeping it to this machine and its user."""
