"""Define the measured tasks: a file for each type of work."""
