"""Select the images that the page shows for a detector: the most anomalous ones, and mistakes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from belong.calibration import conformal
from belong.calibration.verdict import decide
from belong.evaluation.detector_agreement import most_anomalous


@dataclass(frozen=True)
class Part:
    """The images of one part with their predictions and scores.

    Attributes:
        name: "normal/test" or "anomaly/test".
        class_names: (n,) str, the true class of each image.
        predicted: (n,) str, the predicted class of each image.
        scores: detector -> (n,).
    """

    name: str
    class_names: np.ndarray
    predicted: np.ndarray
    scores: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Card:
    """An image with its caption; `image` is PART/ROW."""

    image: str
    class_name: str
    predicted: str
    score: float
    p_value: float


@dataclass(frozen=True)
class Showcase:
    """The images that one detector shows.

    Attributes:
        most_anomalous: normal images, highest score first.
        rejected: the images of `most_anomalous` above the threshold.
        accepted: anomalies up to the threshold, lowest score first.
    """

    most_anomalous: list[Card]
    rejected: list[Card]
    accepted: list[Card]

    def cards(self) -> Iterable[Card]:
        """Return all cards."""
        return [*self.most_anomalous, *self.rejected, *self.accepted]


def showcase(
    detector: str,
    normal: Part,
    anomaly: Part | None,
    calibration: np.ndarray,
    *,
    threshold: float,
    count: int,
) -> Showcase:
    """Return the images that `detector` shows, at most `count` of each kind.

    `calibration` (n,) are the scores of the held-out images for the p-values; `threshold` is the
    score up to which an image belongs.
    """
    top = cards(normal, detector, most_anomalous(normal.scores[detector], count), calibration)
    lowest = [] if anomaly is None else least_anomalous(anomaly, detector, calibration, count=count)
    return Showcase(
        top, _decided(top, threshold, belongs=False), _decided(lowest, threshold, belongs=True)
    )


def _decided(cards: list[Card], threshold: float, *, belongs: bool) -> list[Card]:
    verdicts = decide(np.array([card.score for card in cards]), threshold)
    return [card for card, verdict in zip(cards, verdicts, strict=True) if verdict == belongs]


def least_anomalous(
    part: Part, detector: str, calibration: np.ndarray, *, count: int
) -> list[Card]:
    """Return the `count` images with the lowest scores, lowest first; ties by index."""
    return cards(part, detector, most_anomalous(-part.scores[detector], count), calibration)


def cards(part: Part, detector: str, places: np.ndarray, calibration: np.ndarray) -> list[Card]:
    """Return a card for each of the indices (k,)."""
    scores = part.scores[detector][places]
    p_values = conformal.p_values(calibration, scores)
    return [
        Card(
            f"{part.name}/{place}",
            str(part.class_names[place]),
            str(part.predicted[place]),
            float(score),
            float(p_value),
        )
        for place, score, p_value in zip(places, scores, p_values, strict=True)
    ]
