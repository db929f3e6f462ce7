"""Measure ratios against named peers, in turns within one run: `python -m benchmarks`."""
