"""Distance to the k-th nearest training image, on the layer before the features, of length 1.

Above a frozen backbone that layer is the backbone's last one: it knows what the user's classes do
not differ in, and what the features, trained to tell these classes apart, no longer show.

Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022,
https://arxiv.org/abs/2204.06507.
"""

from belong.detectors.feature_knn import FeatureNeighbors


class HiddenNeighbors(FeatureNeighbors):
    """Distance to the k-th neighbor."""

    odd = "no training image has similar parts"
    layer = "hidden"
