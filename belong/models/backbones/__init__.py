"""Load networks that were pretrained on many photos, without their classifiers."""
