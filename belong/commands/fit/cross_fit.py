"""Score each training image, and what is made of it, by what was fitted without it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from belong.calibration.cross_conformal import FOLDS, deal
from belong.commands.fit.fitting import TRAIN, Arrays, Fitting
from belong.detectors.score_parts import HELD_OUT, detector_scores
from belong.models.feature_extraction import HEAD, extract_parts
from belong.runtime.progress import bar


@dataclass(frozen=True)
class Part:
    """Images that are scored out of fold.

    Attributes:
        inputs: (n, ...) what the network takes.
        images: (n, ch, h, w) uint8.
        sources: (n,) int64, the training image that each of them is, or is made of.
    """

    inputs: np.ndarray
    images: np.ndarray
    sources: np.ndarray

    def rows(self, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs and the images of some of them."""
        return self.inputs[which], self.images[which]


def out_of_fold_scores(
    fitting: Fitting,
    train: Part,
    labels: np.ndarray,
    *,
    derived: Mapping[str, Part],
    anomalies: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
) -> Arrays:
    """Return what `detector_scores` does of the training images, each by what never saw it.

    Args:
        fitting: how a fold is fitted.
        train: the n training images.
        labels: (n,) int64, their classes, 0..c-1.
        derived: part -> anomalies made of training images; they are scored out of fold too.
        anomalies: inputs and images of the anomalies that train the supervised head, if any.
        seed: draws the folds.

    Returns:
        `normal/calibration/DETECTOR` (n,), `.../predicted`, `.../labels` and `.../logits` (n, c),
        and the scores of the derived parts.
    """
    n = len(labels)
    folds = deal(labels, count=min(FOLDS, n), rng=np.random.default_rng([seed, 4]))
    parts = {HELD_OUT: train} | dict(derived)
    scores: Arrays = {}
    with bar(int(folds.max()) + 1, "fit without a fold", "fold") as progress:
        for fold in range(int(folds.max()) + 1):
            known = np.flatnonzero(folds != fold)
            rows = {
                part: np.flatnonzero(folds[block.sources] == fold) for part, block in parts.items()
            }
            fold_scores = _scores_of(fitting, train, labels, known, parts, rows, anomalies)
            for key, values in fold_scores.items():
                part = key.rpartition("/")[0]
                shape = len(parts[part].sources), *values.shape[1:]
                every = scores.setdefault(key, np.empty(shape, values.dtype))
                every[rows[part]] = values
            progress.update()
    return scores


def _scores_of(
    fitting: Fitting,
    train: Part,
    labels: np.ndarray,
    known: np.ndarray,
    parts: Mapping[str, Part],
    rows: Mapping[str, np.ndarray],
    anomalies: tuple[np.ndarray, np.ndarray] | None,
) -> Arrays:
    """Fit to the training images `known`, and score some `rows` of each part."""
    inputs, images = train.rows(known)
    network, coder = fitting.network(inputs, labels[known]), fitting.autoencoder(images)
    seen = [(TRAIN, inputs, images)]
    seen += [(part, *block.rows(rows[part])) for part, block in parts.items() if len(rows[part])]
    seen += [(HEAD, *anomalies)] if anomalies else []
    features = extract_parts(network, coder, seen, device=fitting.device, description=None)
    features |= {f"{TRAIN}/labels": labels[known], f"{HELD_OUT}/labels": labels[rows[HELD_OUT]]}
    gaussians, detectors = fitting.detectors(features, network.arrays())
    head: Arrays = {}
    if anomalies:
        head = fitting.head(features[f"{TRAIN}/features"], features[f"{HEAD}/features"])
    return detector_scores(
        features,
        gaussians=gaussians,
        head=head,
        detectors=detectors,
        description=None,
        only=fitting.only,
    )
