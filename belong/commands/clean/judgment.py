"""Judge the images of a folder, and measure the quality of the judgment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from belong.commands.clean import reliability
from belong.commands.clean.foreign_images import distances
from belong.commands.clean.label_issues import suspects
from belong.commands.clean.out_of_fold import Fold, Images, in_order
from belong.data.synthetic_anomalies import shuffled
from belong.models.training_loop import TrainingFailedError

PLANTED = 200  # maximum number of scrambled images


@dataclass(frozen=True)
class Judgment:
    """The judgment of n images.

    Attributes:
        evidence: the table of `belong.commands.clean.label_issues.suspects`; None if no classifier
            could be trained.
        probabilities: (n, c), out of fold; None if no classifier could be trained.
        reliability: quality of the judgment, see `belong.commands.clean.reliability`.
    """

    evidence: pd.DataFrame | None
    probabilities: np.ndarray | None
    reliability: Mapping[str, Any]


def judge(images: Images, fit: Callable[[Images], list[Fold]], *, knows_classes: bool) -> Judgment:
    """Judge each image by a model fitted to the other folds.

    Args:
        images: the images, and the planted foreign images.
        fit: `by_regression` or `by_networks` of `belong.commands.clean.out_of_fold`.
        knows_classes: whether the features come from the network that `fit` trains.
    """
    try:
        folds = fit(images)
    except TrainingFailedError as error:
        reason = f"labels and foreign images are not judged: {error}"
        return Judgment(None, None, reliability.blind(reason))
    probabilities = in_order(folds)
    far = distances(folds, images.labels, probabilities)
    labels = images.labels.numpy()
    quality = reliability.measure(probabilities, far, labels, knows_classes=knows_classes)
    evidence = suspects(
        probabilities, far, labels, images.class_names, quality, knows_classes=knows_classes
    )
    return Judgment(evidence, probabilities, quality.as_json())


def with_planted(
    pixels: np.ndarray,
    labels: np.ndarray,
    fold: np.ndarray,
    class_names: Sequence[str],
    *,
    embed: Callable[[Tensor], Tensor],
    rng: np.random.Generator,
) -> Images:
    """Return the images, with scrambled copies of some images planted in the same folds.

    Args:
        pixels: (n, ch, h, w) uint8.
        labels: (n,) int64, 0..c-1.
        fold: (n,) int64.
        class_names: the names of the c classes.
        embed: maps pixels to inputs: the pixels, or the vectors of a frozen backbone.
        rng: random generator of the scrambled images and the order of their patches.
    """
    sample = np.sort(rng.choice(len(pixels), min(PLANTED, len(pixels)), replace=False))
    scrambled = torch.from_numpy(shuffled(pixels[sample], rng))
    return Images(
        inputs=embed(torch.from_numpy(pixels)),
        labels=torch.from_numpy(labels),
        fold=torch.from_numpy(fold),
        class_names=class_names,
        planted=embed(scrambled),
        planted_fold=torch.from_numpy(fold[sample]),
    )
