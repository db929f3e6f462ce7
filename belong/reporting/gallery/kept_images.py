"""The images that a gallery may show, kept while they are scored."""

from collections.abc import Sequence

import numpy as np

from belong.prediction.predictions import Scores
from belong.reporting.gallery.sprite_sheets import reduced

KEPT_BYTES = 2**28  # of pixels and features


class KeptImages:
    """Small pictures and features of images, kept while they are scored.

    Which images the page holds is known only when all are scored. So that no file is decoded
    twice, the first images are kept, up to KEPT_BYTES; those beyond are decoded again if the page
    holds them.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._kept: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def observe(self, files: Sequence[str], pixels: np.ndarray, scores: Scores) -> None:
        """Keep a batch: pixels (m, ch, h, w) uint8 of m files, and their scores."""
        for file, image, features in zip(files, pixels, scores.features, strict=True):
            if self._bytes >= KEPT_BYTES:
                return
            self._kept[file] = one = reduced(image), features
            self._bytes += sum(array.nbytes for array in one)

    def take(self, file: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the picture (ch, h, w) uint8 and the features (d,) of a file, if kept."""
        return self._kept.get(file)
