"""Select the images of the gallery if a folder has more than a page can hold.

With 5,000 images, and five training images for each, a page weighs 5 MB if they are gray and have
28 px, and 16 MB if they are photos of 64 px. Chromium shows it after 0.15 s and filters it in 0.1 s
(two shared cores, no GPU).
"""

import numpy as np

from belong.data.thumbnail import side_for

MOST = 5_000
# Bytes of all photos: 1,000 photos of 256 pixels, or 5,000 of 96. Data URIs take a third more.
PHOTO_BYTES = 14_000_000


def telling(
    scores: np.ndarray, *, threshold: float, most: int = MOST, generator: np.random.Generator
) -> np.ndarray:
    """Return the sorted indices of the most informative images, or all if there are few.

    Two fifths are the most anomalous images. Two fifths are the images nearest to the threshold
    among the others, where verdicts are least certain. The remaining images are a random sample of
    the others, as usual examples. Scores (n,), higher is more anomalous -> (min(n, most),) int64.
    """
    if len(scores) <= most:
        return np.arange(len(scores))
    top, near, _ = shares(most)
    by_score = np.argsort(-scores, kind="stable")
    remaining = by_score[top:]
    by_distance = remaining[np.argsort(np.abs(scores[remaining] - threshold), kind="stable")]
    sample = generator.choice(by_distance[near:], most - top - near, replace=False)
    return np.sort(np.concatenate([by_score[:top], by_distance[:near], sample]))


def shares(most: int) -> tuple[int, int, int]:
    """Divide `most` images into the most anomalous, the nearest to the threshold, and a sample."""
    part = most * 2 // 5
    return part, part, most - 2 * part


def photo_px(count: int) -> int:
    """Return the longer side of the photos on a page with `count` images."""
    return side_for(min(count, MOST), budget=PHOTO_BYTES)
