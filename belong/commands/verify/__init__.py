"""`belong verify`: compare every byte with what was recorded."""
