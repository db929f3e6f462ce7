"""Rank the most unusual images of a folder without classes: `belong find`."""
