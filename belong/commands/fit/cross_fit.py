"""Score each training image, and the anomalies derived from it, by fits without it."""

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
        inputs: (n, ...) inputs of the network.
        images: (n, ch, h, w) uint8.
        sources: (n,) int64, index of the training image that each image is, or is derived from.
    """

    inputs: np.ndarray
    images: np.ndarray
    sources: np.ndarray

    def rows(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the inputs and the images at some indices."""
        return self.inputs[indices], self.images[indices]


def out_of_fold_scores(
    fitting: Fitting,
    train: Part,
    labels: np.ndarray,
    *,
    derived: Mapping[str, Part],
    anomalies: tuple[np.ndarray, np.ndarray] | None,
    seed: int,
) -> Arrays:
    """Return the scores of each training image by a fit without its fold, see `detector_scores`.

    Args:
        fitting: fits the networks and detectors of a fold.
        train: the n training images.
        labels: (n,) int64, their classes, 0..c-1.
        derived: part -> anomalies derived from training images, which are also scored out of fold.
        anomalies: inputs and images of the anomalies that train the supervised head, or None.
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
            train_rows = np.flatnonzero(folds != fold)
            rows = {
                part: np.flatnonzero(folds[block.sources] == fold) for part, block in parts.items()
            }
            fold_scores = _scores_of(fitting, train, labels, train_rows, parts, rows, anomalies)
            for key, values in fold_scores.items():
                part = key.rpartition("/")[0]
                shape = len(parts[part].sources), *values.shape[1:]
                all_values = scores.setdefault(key, np.empty(shape, values.dtype))
                all_values[rows[part]] = values
            progress.update()
    return scores


def _scores_of(
    fitting: Fitting,
    train: Part,
    labels: np.ndarray,
    train_rows: np.ndarray,
    parts: Mapping[str, Part],
    rows: Mapping[str, np.ndarray],
    anomalies: tuple[np.ndarray, np.ndarray] | None,
) -> Arrays:
    """Fit to the training images at `train_rows`, and score some `rows` of each part."""
    inputs, images = train.rows(train_rows)
    network, coder = fitting.network(inputs, labels[train_rows]), fitting.autoencoder(images)
    blocks = [(TRAIN, inputs, images)]
    blocks += [(part, *block.rows(rows[part])) for part, block in parts.items() if len(rows[part])]
    blocks += [(HEAD, *anomalies)] if anomalies else []
    features = extract_parts(network, coder, blocks, device=fitting.device, description=None)
    features |= {
        f"{TRAIN}/labels": labels[train_rows],
        f"{HELD_OUT}/labels": labels[rows[HELD_OUT]],
    }
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
