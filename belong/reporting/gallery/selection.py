"""Select the images of the gallery if a folder has more than a page can hold.

With 5,000 images, and five training images for each, a page weighs 5 MB if they are grey and have
28 px, and 16 MB if they are photos of 64 px. Chromium shows it after 0.15 s and filters it in 0.1 s
(two shared cores, no GPU).
"""

import numpy as np

from belong.data.thumbnail import side_for

MOST = 5_000
# Of photos: 1,000 of them have 256 pixels then, 5,000 have 96. As text in a page, a third more.
PHOTO_BYTES = 14_000_000


def telling(
    scores: np.ndarray, *, threshold: float, most: int = MOST, generator: np.random.Generator
) -> np.ndarray:
    """Return the places of the images that say most, rising; of few images all.

    Two fifths are the most anomalous ones, two fifths those of the others that lie nearest to the
    threshold, where a verdict is least certain, and `generator` draws the rest, to show what is
    usual. Scores (n,), higher is more anomalous -> (min(n, most),) int64.
    """
    if len(scores) <= most:
        return np.arange(len(scores))
    top, near, _ = shares(most)
    by_score = np.argsort(-scores, kind="stable")
    others = by_score[top:]
    by_distance = others[np.argsort(np.abs(scores[others] - threshold), kind="stable")]
    drawn = generator.choice(by_distance[near:], most - top - near, replace=False)
    return np.sort(np.concatenate([by_score[:top], by_distance[:near], drawn]))


def shares(most: int) -> tuple[int, int, int]:
    """Return how many of `most` are the most anomalous, nearest to the threshold, and drawn."""
    part = most * 2 // 5
    return part, part, most - 2 * part


def photo_px(count: int) -> int:
    """Return the longer side of the photos on a page of so many images."""
    return side_for(min(count, MOST), budget=PHOTO_BYTES)
