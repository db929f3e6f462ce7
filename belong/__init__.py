"""Image classifiers that also know which images are not theirs."""
