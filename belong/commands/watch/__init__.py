"""`belong watch`: test whether the false-rejection rate still holds."""
