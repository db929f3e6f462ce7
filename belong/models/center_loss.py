"""Center loss: pull each feature vector towards the center of its class.

Paper A, eq. (2), second term; Wen et al., A Discriminative Feature Learning Approach for Deep
Face Recognition, ECCV 2016, eq. (2) to (4).
"""

import torch
from torch import Tensor


def center_loss(features: Tensor, labels: Tensor, centers: Tensor) -> Tensor:
    """Return half the squared distance to the center of the class, averaged over the batch.

    Eq. (2) of the paper sums both terms over the batch. Here both are means, so that lambda weights
    them as in the paper for any batch size. Features (n, d), labels (n,) int64, 0..c-1, centers
    (c, d), which get no gradient -> ().
    """
    return (features - centers[labels].detach()).square().sum(dim=1).mean() / 2


@torch.no_grad()
def moved_centers(centers: Tensor, features: Tensor, labels: Tensor, *, rate: float) -> Tensor:
    """Return the centers after a step towards the features of one batch.

    c_j - rate * sum over class j of (c_j - x_i) / (1 + n_j), Wen et al. eq. (4). The step does not
    depend on lambda, and a class that is not in the batch keeps its center. Centers (c, d),
    features (n, d), labels (n,) int64, 0..c-1 -> (c, d); `rate` is alpha of Wen et al., 0 (fixed)
    to 1.
    """
    pull = torch.zeros_like(centers).index_add_(0, labels, features - centers[labels])
    count = torch.zeros_like(centers[:, 0]).index_add_(0, labels, torch.ones_like(features[:, 0]))
    return centers + rate * pull / (1 + count)[:, None]
