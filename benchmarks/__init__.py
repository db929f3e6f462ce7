"""Ratios against named peers, measured in turns in one run: `python -m benchmarks`."""
