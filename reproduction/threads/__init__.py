"""How much the thread count changes the results."""
