"""What only the reproduction of the papers needs."""
