"""The training images that lie nearest to an image, among those that a model keeps."""

import numpy as np
import torch


def nearest_training_images(
    features: np.ndarray, training: np.ndarray, *, most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the nearest training images, the nearest first, and the distances.

    Features of n images (n, d), and of m training images (m, d) -> rows (n, k) int64 and Euclidean
    distances (n, k) float32, with k = min(m, most).
    """
    distances = torch.cdist(
        torch.from_numpy(features),
        torch.from_numpy(training),
        compute_mode="donot_use_mm_for_euclid_dist",
    )
    near = distances.topk(min(most, len(training)), dim=1, largest=False)
    return near.indices.numpy(), near.values.numpy()
