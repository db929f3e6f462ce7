"""Run the papers' grid of experiments on three engines."""
