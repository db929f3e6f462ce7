"""Distance to the k-th nearest training image, on the layer before the features, of length 1.

Above a frozen backbone this is the last layer of the backbone. It has information that does not
distinguish the user's classes, and that the trained features have lost.

Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022,
https://arxiv.org/abs/2204.06507.
"""

from belong.detectors.feature_knn import FeatureNeighbors


class HiddenNeighbors(FeatureNeighbors):
    """Distance to the k-th neighbor."""

    odd = "no training image has similar parts"
    axes = "directions nh, k"
    layer = "hidden"
