"""Estimate the benefit of more images: accuracy and AUROC by the number of images per class."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]
LEAST_POINTS = 0.05  # percentage points; a smaller gain is reported as "less than"


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LearningPoint(_Facts):
    """The results with a number of training images, on held-out images.

    Attributes:
        images: mean number of training images per class.
        accuracy: share of correctly classified held-out images.
        auroc: AUROC of the distance to the nearest training images, for images of a class that
            was left out against images of the others.
    """

    images: Annotated[float, Field(gt=0)]
    accuracy: Rate
    auroc: Rate


class LearningCurve(_Facts):
    """Results with increasing numbers of images, and the expected gain of doubling the images.

    Attributes:
        images: mean number of available training images per class.
        held_out: number of held-out images per point; each image is used once.
        points: sorted by the number of images.
        accuracy_gain: expected gain of accuracy with twice as many images, as a share.
        auroc_gain: expected gain of AUROC with twice as many images.
        sentence: the gains in words.
    """

    images: Annotated[float, Field(gt=0)]
    held_out: Annotated[int, Field(ge=1)]
    points: Annotated[list[LearningPoint], Field(min_length=2)]
    accuracy_gain: Rate
    auroc_gain: Rate
    sentence: str

    @classmethod
    def through(
        cls, points: Sequence[LearningPoint], *, images: float, held_out: int
    ) -> "LearningCurve":
        """Return the curve through at least two points."""
        sizes = np.array([point.images for point in points])
        gains = [
            gain_of_doubling(sizes, [getattr(point, key) for point in points], images, held_out)
            for key in ("accuracy", "auroc")
        ]
        accuracy, auroc = _points(gains[0], "accuracy"), _points(gains[1], "AUROC")
        sentence = (
            f"Twice as many training images would raise {accuracy} and {auroc}, according to the "
            f"learning curve from {sizes[0]:.0f} to {sizes[-1]:.0f} images per class, where "
            "left-out classes are the anomalies."
        )
        return cls(
            images=round(images, 1),
            held_out=held_out,
            points=list(points),
            accuracy_gain=round(gains[0], 4),
            auroc_gain=round(gains[1], 4),
            sentence=sentence,
        )


def gain_of_doubling(
    sizes: np.ndarray, rates: Sequence[float], images: float, held_out: int
) -> float:
    """Return the expected gain of a rate from `images` to twice as many images.

    Errors decrease with a power of the number of images (Hestness et al., Deep Learning Scaling is
    Predictable, Empirically, 2017, https://arxiv.org/abs/1712.00409), so the line through their
    logarithms is extrapolated. Half an image is added to the errors.

    `sizes` and `rates` (p,) are those of the points, each measured on `held_out` images.
    """
    errors = ((1 - np.asarray(rates)) * held_out + 0.5) / (held_out + 1)
    slope, start = np.polyfit(np.log(sizes), np.log(errors), 1)
    error = float(np.exp(start + slope * np.log(images)))
    return float(max(0.0, min(error, 1.0) * (1 - 2.0 ** min(slope, 0.0))))


def _points(gain: float, of: str) -> str:
    """Return "the accuracy by about 1.2 points", "the AUROC by less than 0.1 points"."""
    points = 100 * gain
    amount = "less than 0.1" if points < LEAST_POINTS else f"about {points:.1f}"
    return f"the {of} by {amount} points"
