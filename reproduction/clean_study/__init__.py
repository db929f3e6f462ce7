"""Measure how many planted errors `belong clean` finds."""
