"""The papers' grid of experiments, on three engines."""
