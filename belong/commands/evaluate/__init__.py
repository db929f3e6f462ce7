"""Compare detectors on the feature vectors of any network: `belong evaluate`."""
