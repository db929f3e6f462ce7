"""Whether a stream of new images is still what the thresholds were calibrated on."""
