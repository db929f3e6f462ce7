"""Which images of a labelled folder to keep, to look at, and to put aside, each with its reason."""
