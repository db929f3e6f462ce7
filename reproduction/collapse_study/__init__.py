"""Measure how often a training from scratch collapses on small folders."""
