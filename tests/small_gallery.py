"""A small folder with verdicts for galleries: real images, scored by their pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from belong.data.idx import read
from belong.reporting.gallery.render import Review, gallery_page
from tests.imports import ROOT

DIGITS, CLOTHES = 200, 100  # how many images of each


@dataclass(frozen=True)
class Small:
    """The inputs of `gallery_page`."""

    rows: pd.DataFrame
    pictures: np.ndarray
    nearest: list[list[tuple[int, float]]]
    training_pictures: np.ndarray
    training_classes: list[str]
    threshold: float
    calibration: np.ndarray

    @property
    def review(self) -> Review:
        """Return the data by which the page moves alpha; 2.5% of the digits are rejected."""
        return Review(
            model="5" * 64,
            source="uploads",
            class_names=sorted(set(self.rows["class"])),
            files=self.rows["path"].tolist(),
            alpha=0.025,
            calibration=self.calibration,
            command="belong score uploads --model small -o out --overwrite",
        )

    def page(self, *, with_pictures: Sequence[int] | None = None, **changes: Any) -> str:
        """Return the page; it has the pictures of the given rows, or of all."""
        places = range(len(self.rows)) if with_pictures is None else with_pictures
        attributes = {name: value for name, value in vars(self).items() if name != "calibration"}
        values: dict[str, Any] = attributes | {
            "pictures": {place: self.pictures[place] for place in places},
            "nearest": dict(enumerate(self.nearest)),
            "title": "uploads",
            "facts": {"model": "small"},
        }
        return gallery_page(**values | changes)


def small_gallery(class_names: Sequence[str] = tuple("0123456789")) -> Small:
    """Score digits and clothes by the distance to the nearest mean image of a digit."""
    digits, clothes = (
        read(ROOT / "tests/data" / name) for name in ("mnist-small", "fashion-mnist-small")
    )
    train, labels = digits.images[~digits.is_test], digits.labels[~digits.is_test]
    test_images = np.concatenate(
        [digits.images[digits.is_test][:DIGITS], clothes.images[clothes.is_test][:CLOTHES]]
    )
    training_vectors, vectors = (
        images.reshape(len(images), -1) / 255 for images in (train, test_images)
    )
    means = np.stack([training_vectors[labels == label].mean(axis=0) for label in range(10)])
    distances = np.linalg.norm(vectors[:, None] - means, axis=2)
    score, predicted = distances.min(axis=1), distances.argmin(axis=1)
    threshold = float(np.quantile(score[:DIGITS], 0.975))
    classes = np.array(class_names, dtype=object)[predicted]
    rows = pd.DataFrame(
        {
            "path": [f"folder/Image {place:03}.png" for place in range(len(test_images))],
            "class": classes,
            "probability": 1 / (1 + score),
            "belongs": score <= threshold,
            "p_value": [(1 + (score[:DIGITS] >= one).sum()) / (1 + DIGITS) for one in score],
            "score": score,
            "nearest_class": classes,
            "distance": score / threshold,
            "detector": "mean image",
            "reason": [f"It lies {one:.2f} from the mean image." for one in score],
        }
    )
    to_known = (
        (vectors**2).sum(axis=1)[:, None]
        + (training_vectors**2).sum(axis=1)
        - 2 * vectors @ training_vectors.T
    )
    near = np.argsort(to_known, axis=1, kind="stable")[:, :5]
    nearest = [
        [(int(place), float(np.sqrt(to_known[row, place]))) for place in places]
        for row, places in enumerate(near)
    ]
    names = [class_names[label] for label in labels]
    return Small(rows, test_images, nearest, train, names, threshold, score[:DIGITS])
