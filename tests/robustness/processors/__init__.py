"""A comparison of the bytes that different (emulated) processors compute."""
