"""How much more images would bring: accuracy and AUROC against images of a class."""

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

Rate = Annotated[float, Field(ge=0, le=1)]
LEAST_POINTS = 0.05  # percentage points: less is called hardly any


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LearningPoint(_Facts):
    """What so many training images of a class reach, on images held out of the training.

    Attributes:
        images: of a class, on average.
        accuracy: share of the images held out whose class is right.
        auroc: of images of a class that was left out, against the others; by the distance to the
            nearest training images.
    """

    images: Annotated[float, Field(gt=0)]
    accuracy: Rate
    auroc: Rate


class LearningCurve(_Facts):
    """Points with ever more images, and what twice as many as there are would reach.

    Attributes:
        images: training images of a class that there are, on average.
        held_out: images that measured each point, each once.
        points: the fewest images first.
        accuracy_gain: expected of twice as many images, as a share.
        auroc_gain: the same.
        sentence: these in words.
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
            f"Twice as many training images would bring {accuracy} and {auroc}, by the learning "
            f"curve from {sizes[0]:.0f} to {sizes[-1]:.0f} images of a class (anomalies: classes "
            f"left out)."
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
    """Return by how much a rate would rise from `images` to twice as many.

    Errors fall with a power of the number of images (Hestness et al., Deep Learning Scaling is
    Predictable, Empirically, 2017, https://arxiv.org/abs/1712.00409): the line through their
    logarithms is drawn further. Half an image is counted as wrong beside those that are.

    `sizes` and `rates` (p,) are those of the points, each measured on `held_out` images.
    """
    errors = ((1 - np.asarray(rates)) * held_out + 0.5) / (held_out + 1)
    slope, start = np.polyfit(np.log(sizes), np.log(errors), 1)
    error = float(np.exp(start + slope * np.log(images)))
    return float(max(0.0, min(error, 1.0) * (1 - 2.0 ** min(slope, 0.0))))


def _points(gain: float, of: str) -> str:
    """Return "about +1.2 points of accuracy", "hardly any AUROC"."""
    points = 100 * gain
    return f"hardly any {of}" if points < LEAST_POINTS else f"about +{points:.1f} points of {of}"
