"""Center loss x L2 normalization, and the training recipe of the Mahalanobis distance."""
