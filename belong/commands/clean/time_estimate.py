"""Estimate the time of a cleaning from short measurements on this machine."""

import time
import warnings

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from belong.commands.clean.judgment import PLANTED
from belong.commands.clean.out_of_fold import INVERSE_PENALTY
from belong.commands.fit.time_estimate import pace_of
from belong.data.image_folder import ImageFiles
from belong.models.backbones.backbone import Backbone
from belong.models.train_classifier import TrainingOptions
from belong.parameters import FROZEN, Parameters

DECODED_TIMES = 2  # each file is decoded to measure it, and again to judge it
USUAL_ITERATIONS = 60  # iterations of the regression on 1,100 images of three classes
TIMED_IMAGES, TIMED_ITERATIONS = 500, 5


def estimate(
    files: ImageFiles,
    *,
    folds: int,
    network: str,
    side_px: int,
    training: TrainingOptions,
    values: Parameters,
    backbone: Backbone | None,
) -> float:
    """Return the estimated seconds of a cleaning of `files`."""
    pace = pace_of(
        files,
        network=network if backbone is None else FROZEN,
        side_px=side_px,
        batch_size=training.batch_size,
        values=values,
        backbone=backbone,
        is_frozen=backbone is not None,
    )
    n = len(files.files)
    fitted = n * (folds - 1) // folds
    decoding = DECODED_TIMES * n * pace.decoding
    if backbone is None:
        return decoding + folds * training.epochs * fitted * pace.training
    regression = _regression(backbone.card.sizes[-1], len(files.class_names))
    return decoding + (n + PLANTED) * pace.embedding + folds * fitted * regression


def _regression(d: int, classes: int) -> float:
    """Return the seconds of a regression per image of d features."""
    generator = torch.Generator().manual_seed(0)
    directions = F.normalize(torch.randn(TIMED_IMAGES, d, generator=generator), dim=1).numpy()
    labels = (torch.arange(TIMED_IMAGES) % min(classes, TIMED_IMAGES)).numpy()
    fitted = LogisticRegression(C=INVERSE_PENALTY, max_iter=TIMED_ITERATIONS)
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # stopped early on purpose
        fitted.fit(directions, labels)
    seconds = time.perf_counter() - start
    return seconds / TIMED_IMAGES * USUAL_ITERATIONS / TIMED_ITERATIONS
