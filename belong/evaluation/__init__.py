"""Metrics, and studies of the detectors."""
