"""Whether every processor computes the same bytes, on emulated ones."""
