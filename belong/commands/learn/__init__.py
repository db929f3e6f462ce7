"""`belong learn`: take a person's corrections into a model."""
