"""`belong evaluate`: the panel of detectors on the vectors of any network."""
