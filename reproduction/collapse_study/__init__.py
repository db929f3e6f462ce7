"""How often a training from scratch collapses on small folders, and what becomes of it."""
