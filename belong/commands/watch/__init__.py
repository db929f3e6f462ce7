"""Test whether the false-rejection rate still holds: `belong watch`."""
