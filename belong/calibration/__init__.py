"""Compute conformal p-values and thresholds, and their coverage."""
