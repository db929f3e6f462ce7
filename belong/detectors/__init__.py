"""Define detectors: each gives every image one score, higher is more anomalous."""
