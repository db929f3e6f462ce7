"""Faults, each provoked through a command of the user, and the expected answers."""
