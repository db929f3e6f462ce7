"""Measure how well a cleaning can judge the images of a folder.

Labels are judged only if the classifier is clearly better than guessing. Foreign images are judged
only if the distances separate known foreign images from the images of the folder. Two types of
foreign images are available: images of the folder with shuffled patches, and, if the features come
from a frozen backbone that was not trained on the classes, each class of the folder in turn, left
out. The second type is the harder one, as the classes resemble each other.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from belong.commands.clean.foreign_images import Distances
from belong.evaluation.metrics import roc_auc
from belong.models.chance_level import is_at_chance
from belong.runtime.text import percent

# Minimum share of the errors of the majority-class classifier that the classifier avoids.
LEAST_SKILL = 0.25
LEAST_AUROC = 0.6  # minimum for the better of the two types of foreign images
HELP = "add images to each class, or try another backbone"


@dataclass(frozen=True)
class Reliability:
    """The quality of the judgment; numbers from 0 to 1.

    Attributes:
        accuracy: accuracy of the classifier out of fold, measured with the labels of the folder.
        chance: accuracy of always predicting the largest class.
        scrambled_auroc: AUROC of the distances for images with shuffled patches.
        left_out_auroc: mean AUROC over the classes, each left out in turn; None if the network was
            trained on the classes.
        labels_refused: the reason why labels are not judged, or "".
        foreign_refused: the reason why foreign images are not judged, or "".
    """

    accuracy: float
    chance: float
    scrambled_auroc: float
    left_out_auroc: float | None
    labels_refused: str
    foreign_refused: str

    def as_json(self) -> dict[str, Any]:
        """Return all attributes as a dict."""
        return asdict(self)


def measure(
    probabilities: np.ndarray, distances: Distances, labels: np.ndarray, *, knows_classes: bool
) -> Reliability:
    """Measure how well n images of c classes can be judged.

    Args:
        probabilities: (n, c), out of fold.
        distances: distances of the images and of the planted foreign images.
        labels: (n,) int64, 0..c-1.
        knows_classes: whether the network behind the features was trained on the classes.
    """
    predicted = probabilities.argmax(axis=1)
    accuracy = float(np.mean(predicted == labels))
    chance = float(np.bincount(labels).max() / len(labels))
    at_chance = is_at_chance(torch.from_numpy(predicted), torch.from_numpy(labels))
    scrambled = roc_auc(distances.to_nearest, distances.of_planted)
    left_out = None if knows_classes else _left_out(distances.to_class, labels)
    aurocs = [auroc for auroc in (scrambled, left_out) if auroc is not None]
    return Reliability(
        accuracy=round(accuracy, 4),
        chance=round(chance, 4),
        scrambled_auroc=round(scrambled, 4),
        left_out_auroc=None if left_out is None else round(left_out, 4),
        labels_refused=_why_no_labels(accuracy, chance, at_chance=at_chance),
        foreign_refused=_why_no_foreign(max(aurocs)),
    )


def blind(reason: str) -> Mapping[str, Any]:
    """Return the values of a `Reliability` if no classifier could be trained."""
    none = dict.fromkeys(("accuracy", "chance", "scrambled_auroc", "left_out_auroc"))
    return {**none, "labels_refused": reason, "foreign_refused": reason}


def in_words(reliability: Mapping[str, Any]) -> list[str]:
    """Return the quality of the judgment in sentences."""
    if reliability["accuracy"] is None:
        return []
    accuracy = (
        f"accuracy on unseen images {percent(reliability['accuracy'], 3)} (always predicting the "
        f"largest class: {percent(reliability['chance'], 3)})"
    )
    detection = (
        f"foreign-image detection: AUROC {reliability['scrambled_auroc']:.3f} on scrambled images"
    )
    if reliability["left_out_auroc"] is not None:
        detection += f", {reliability['left_out_auroc']:.3f} on classes left out in turn"
    return [accuracy, detection]


def refusals(reliability: Mapping[str, Any]) -> list[str]:
    """Return the reasons why labels or foreign images are not judged, without duplicates."""
    reasons = (reliability["labels_refused"], reliability["foreign_refused"])
    return list(dict.fromkeys(reason for reason in reasons if reason))


def _left_out(distances: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean AUROC with each class in turn as foreign images: (n, c), (n,) -> ()."""
    aurocs = []
    for label in range(distances.shape[1]):
        to_others = np.delete(distances, label, axis=1).min(axis=1)
        aurocs.append(roc_auc(to_others[labels != label], to_others[labels == label]))
    return float(np.mean(aurocs))


def _why_no_labels(accuracy: float, chance: float, *, at_chance: bool) -> str:
    skill = (accuracy - chance) / (1 - chance)
    if not at_chance and skill >= LEAST_SKILL:
        return ""
    least = chance + LEAST_SKILL * (1 - chance)
    return (
        f"labels are not judged: expected an accuracy of at least {percent(least, 3)} on unseen "
        f"images, got {percent(accuracy, 3)} (always predicting the largest class: "
        f"{percent(chance, 3)}); {HELP}"
    )


def _why_no_foreign(auroc: float) -> str:
    if auroc >= LEAST_AUROC:
        return ""
    return (
        f"foreign images are not judged: expected an AUROC of at least {LEAST_AUROC} on planted "
        f"foreign images, got {auroc:.3f}; {HELP}"
    )
