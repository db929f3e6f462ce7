"""`belong find`: the strangest images of a folder without classes."""
