"""The same work done with stock parts, as a tutorial does it; nothing of belong is in it."""
