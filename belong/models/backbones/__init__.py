"""Networks that were trained on many photos, without their classifiers."""
