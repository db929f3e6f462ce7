"""Measure the acceptance of fresh normal images by a Mahalanobis detector, by images per feature.

The paper derives the threshold of a class from the distances of the images to which its covariance
was fitted. With few images per feature, these distances are too small.
"""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from belong.calibration import conformal
from belong.calibration.sample_size import least_to_calibrate
from belong.detectors import mahalanobis
from belong.detectors.covariance import choose
from belong.runtime.progress import bar

# Every tenth image of a class is held out to calibrate, as in the pipeline.
FITTED_FOR_EACH_HELD_OUT = 9
COLUMNS = ["images_per_feature", "images_per_class", "recipe", "draw", "accepted"]


def acceptance(
    training: tuple[Tensor, Tensor],
    calibration: tuple[Tensor, Tensor],
    test: Tensor,
    class_names: list[str],
    *,
    ratios: Sequence[float],
    draws: int,
    quantile: float,
    ridge: float,
    alpha: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Fit on a sample of each class and measure the share of accepted test images.

    Args:
        training: features (n, d) and labels (n,).
        calibration: features and labels of held-out images.
        test: (m, d) features of fresh images of the same classes.
        class_names: the c names.
        ratios: images per class and feature; ratios that need more images than exist are skipped.
        draws: number of random samples per ratio.
        quantile: quantile of the training scores that is the threshold of the paper.
        ridge: see `mahalanobis.fit`.
        alpha: share of the images that a calibrated threshold may reject.
        rng: draws the images.

    Returns:
        Columns: `images_per_feature`, `images_per_class`, `recipe` ("paper": per_class and the
        training threshold; "auto": covariance auto and the training threshold; "auto, calibrated"),
        `draw` and `accepted`, the share of accepted test images. Empty if every ratio needs more
        images than exist; without calibrated rows if too few images are held out.
    """
    features, labels = training
    d = features.shape[1]
    sizes = {ratio: max(2, round(ratio * d)) for ratio in ratios}
    least = int(torch.bincount(labels).min())
    usable_sizes = {ratio: size for ratio, size in sizes.items() if size <= least}
    rows = []
    least_count = least_to_calibrate(alpha)
    with bar(len(usable_sizes) * draws, "study covariance", "draw") as progress:
        for ratio, size in usable_sizes.items():
            held_out = max(
                size // FITTED_FOR_EACH_HELD_OUT, math.ceil(least_count / len(class_names))
            )
            for draw in range(draws):
                sample = _sample(labels, size, rng)
                fit = partial(
                    mahalanobis.fit, features[sample], labels[sample], class_names,
                    quantile=quantile, ridge=ridge,
                )  # fmt: skip
                paper = fit(covariance="per_class")
                kind, _ = choose("auto", size, d)
                auto = paper if kind == "per_class" else fit(covariance=kind)
                held_out_features = calibration[0][_sample(calibration[1], held_out, rng)]
                scores, auto_scores = paper.score(test), auto.score(test)
                shares = {"paper": scores <= 1, "auto": auto_scores <= 1}
                if len(held_out_features) >= least_count:
                    calibrated = conformal.threshold(
                        auto.score(held_out_features).numpy(), alpha=alpha
                    )
                    shares["auto, calibrated"] = auto_scores <= calibrated
                rows += [
                    (ratio, size, recipe, draw, accepted.float().mean().item())
                    for recipe, accepted in shares.items()
                ]
                progress.update()
    return pd.DataFrame(rows, columns=COLUMNS)


def _sample(labels: Tensor, count: int, rng: np.random.Generator) -> Tensor:
    """Draw the indices of `count` images of each class, or of all if a class has fewer."""
    places = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
    return torch.from_numpy(np.concatenate([rng.permutation(rows)[:count] for rows in places]))
