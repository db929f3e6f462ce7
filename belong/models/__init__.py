"""Define networks, their losses and their training."""
