"""How well a cleaning can see: what it makes of images whose truth is known.

The classifier has to tell the classes apart better than guessing, or nothing can be said of labels.
The distances have to tell foreign images, or nothing can be said of these. Two kinds of foreign
images are at hand: images of the folder cut into patches that are put together in another order,
and, where a frozen backbone has learned nothing of the classes, the classes of the folder
themselves, each left out in turn. The second kind is the harder one: images as near to the classes
as these are to each other.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from belong.commands.clean.foreign_images import Distances
from belong.evaluation.metrics import roc_auc
from belong.models.chance_level import is_at_chance

# The share of the errors of always naming the largest class that the classifier has to avoid.
LEAST_SKILL = 0.25
LEAST_AUROC = 0.6  # of the better of the two kinds of foreign images
HELP = "more images of each class, or another pretrained backbone (--backbone, --weights)"


@dataclass(frozen=True)
class Sight:
    """How well the images could be judged, shares of 0 to 1.

    Attributes:
        accuracy: of the classifier on images it has not seen, by the labels as they are given.
        chance: the accuracy of always naming the largest class.
        scrambled_auroc: of the distances, for images of the folder cut into patches.
        left_out_auroc: the mean over the classes, each left out in turn; None where a network has
            learned to tell them apart.
        labels_refused: why nothing is said about labels; "" if something is.
        foreign_refused: why nothing is said about foreign images; "" if something is.
    """

    accuracy: float
    chance: float
    scrambled_auroc: float
    left_out_auroc: float | None
    labels_refused: str
    foreign_refused: str

    def as_json(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)


def measure(
    probabilities: np.ndarray, distances: Distances, labels: np.ndarray, *, knows_classes: bool
) -> Sight:
    """Return how well n images of c classes could be judged.

    Args:
        probabilities: (n, c), out of fold.
        distances: of the images, and of the planted ones.
        labels: (n,) int64, 0..c-1.
        knows_classes: whether the features were made by what was trained on the classes.
    """
    predicted = probabilities.argmax(axis=1)
    accuracy = float(np.mean(predicted == labels))
    chance = float(np.bincount(labels).max() / len(labels))
    at_chance = is_at_chance(torch.from_numpy(predicted), torch.from_numpy(labels))
    scrambled = roc_auc(distances.to_nearest, distances.of_planted)
    left_out = None if knows_classes else _left_out(distances.to_class, labels)
    aurocs = [auroc for auroc in (scrambled, left_out) if auroc is not None]
    return Sight(
        accuracy=round(accuracy, 4),
        chance=round(chance, 4),
        scrambled_auroc=round(scrambled, 4),
        left_out_auroc=None if left_out is None else round(left_out, 4),
        labels_refused=_why_no_labels(accuracy, chance, at_chance=at_chance),
        foreign_refused=_why_no_foreign(max(aurocs)),
    )


def blind(reason: str) -> Mapping[str, Any]:
    """Return what stands for a sight where no classifier could be trained."""
    none = dict.fromkeys(("accuracy", "chance", "scrambled_auroc", "left_out_auroc"))
    return {**none, "labels_refused": reason, "foreign_refused": reason}


def in_words(sight: Mapping[str, Any]) -> list[str]:
    """Return the sentences that say how well the images could be judged."""
    if sight["accuracy"] is None:
        return []
    sentences = [
        f"unseen images are given their class in {sight['accuracy']:.1%} of cases (always naming "
        f"the largest class: {sight['chance']:.1%})"
    ]
    told = f"AUROC {sight['scrambled_auroc']:.3f} for scrambled images"
    if sight["left_out_auroc"] is not None:
        told += f", {sight['left_out_auroc']:.3f} for classes left out in turn"
    return [*sentences, f"planted foreign images are told from the others with {told}"]


def refusals(sight: Mapping[str, Any]) -> list[str]:
    """Return the reasons for which nothing is said, each once."""
    reasons = (sight["labels_refused"], sight["foreign_refused"])
    return list(dict.fromkeys(reason for reason in reasons if reason))


def _left_out(distances: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean AUROC of the classes as foreign images to the others: (n, c), (n,) -> ()."""
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
        f"nothing is said about labels: unseen images are given their class in {accuracy:.1%} of "
        f"cases, and always naming the largest class gives {chance:.1%}; expected at least "
        f"{least:.1%}; what helps: {HELP}"
    )


def _why_no_foreign(auroc: float) -> str:
    if auroc >= LEAST_AUROC:
        return ""
    return (
        f"nothing is said about foreign images: planted ones are told from the others with AUROC "
        f"{auroc:.3f}; expected at least {LEAST_AUROC}; what helps: {HELP}"
    )
