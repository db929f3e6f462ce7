"""Conformal p-values, thresholds, and what they promise."""
