"""Model bundles, predictions, and their files."""
