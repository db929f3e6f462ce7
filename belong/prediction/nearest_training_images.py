"""Find the training images nearest to an image, among those stored in a model."""

import numpy as np
import torch

from belong.models.matrix_product import matrix_product

SPARE = 5  # candidates beside the nearest, as the product may change the order of close ones


def nearest_training_images(
    features: np.ndarray, training: np.ndarray, *, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the nearest training images of each image, the nearest first.

    Args:
        features: (n, d) float32, of the images.
        training: (m, d) float32, of the training images.
        most: maximum number of neighbors.

    Returns:
        Rows (n, k) int64 and Euclidean distances (n, k) float32, with k = min(m, most).
    """
    images, stored = torch.from_numpy(features), torch.from_numpy(training)
    # Half the squared distance, without a term that is equal for all training images, finds a few
    # candidates. Their distances are computed from differences, as the product loses digits.
    halves = stored.square().sum(dim=1) / 2 - matrix_product(images, stored.T)
    candidates = halves.topk(min(most + SPARE, len(stored)), dim=1, largest=False)
    differences = images[:, None] - stored[candidates.indices]
    near = torch.linalg.vector_norm(differences, dim=2).topk(
        min(most, len(stored)), dim=1, largest=False
    )
    rows = candidates.indices.gather(1, near.indices)
    return rows.numpy(), near.values.numpy()
