"""Mutated inputs for everything that reads bytes of a stranger's."""
