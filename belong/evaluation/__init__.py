"""Compute metrics, and studies of the detectors."""
