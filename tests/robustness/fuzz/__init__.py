"""Mutated inputs for everything that reads untrusted bytes."""
