"""Find the training images nearest to an image, among those stored in a model."""

import numpy as np
import torch


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
    distances = torch.cdist(
        torch.from_numpy(features),
        torch.from_numpy(training),
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    near = distances.topk(min(most, len(training)), dim=1, largest=False)
    return near.indices.numpy(), near.values.numpy()
