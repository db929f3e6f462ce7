"""Measure how much the thread count changes the results."""
