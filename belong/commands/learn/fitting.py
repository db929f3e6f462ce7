"""Fit the network and the detectors of a model again, to all training images or without a fold."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from belong.calibration.cross_conformal import FOLDS, deal
from belong.commands.fit import one_class
from belong.commands.fit.fitting import Fitting
from belong.data.synthetic_anomalies import drawn_rows
from belong.detectors import review_head
from belong.detectors.base import Detector
from belong.detectors.combined import REVIEW_HEAD
from belong.detectors.fit import fit_gaussians, sections_of, training_of
from belong.detectors.registry import DETECTORS, OF_MODELS, stored_in
from belong.models.activations import Views
from belong.models.backbones.backbone import Backbone
from belong.models.base import Network
from belong.models.feature_extraction import layers_of
from belong.models.forward_pass import forward_pass
from belong.models.registry import NETWORKS
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.prediction.bundle import Bundle
from belong.prediction.learning_data import (
    CODES,
    FOREIGN,
    HELD_OUT,
    REVIEWED,
    SHOWN,
    TRAIN,
    VECTORS,
    LearningData,
)
from belong.runtime.progress import bar

Arrays = Mapping[str, np.ndarray]
Scores = dict[str, dict[str, np.ndarray]]  # part -> detector -> (n,)
COMBINED = "combined"
DERIVED = "derived/"


@dataclass(frozen=True)
class Refit:
    """A network and detectors that are fitted to the training images and the reviewed images.

    Attributes:
        network: the classifier.
        training: `normal/train/VIEW` and labels; reviewed images are repeated by their weight.
        once: index of the first row of each image in `training`.
        gaussians: the arrays of `mahalanobis`.
        detectors: `DETECTOR/ARRAY` of all other detectors.
        scored: name -> detector: the deciding detectors, and `mahalanobis`.
        members: the members of `combined`; empty if a single detector decides.
        detector: name of the deciding detector.
    """

    network: Network
    training: dict[str, np.ndarray]
    once: np.ndarray
    gaussians: dict[str, np.ndarray]
    detectors: dict[str, np.ndarray]
    scored: dict[str, Detector]
    members: list[str]
    detector: str

    def scores(self, views: Views) -> dict[str, np.ndarray]:
        """Return detector -> scores (n,) of images."""
        return {name: one.score(views).numpy() for name, one in self.scored.items()}


def fit_again(
    old: Bundle,
    data: LearningData,
    names: list[str],
    *,
    backbone: Backbone | None,
    has_head: bool,
) -> Refit:
    """Fit to the training images and the reviewed images.

    Args:
        old: the previous model.
        data: the training data of the new model.
        names: c class names of the new model.
        backbone: the frozen backbone of a network to train; None: the network stays the same.
        has_head: whether to train a head with the images that do not belong.

    Raises:
        InputError: the training fails.
    """
    data, rows = weighted(data)
    manifest, values = old.manifest, data.parameters
    network = _network(old, data, names, backbone)
    views = views_of(network, data, TRAIN)
    training = views.arrays(TRAIN) | {f"{TRAIN}/labels": data.arrays[f"{TRAIN}/labels"]}
    members, detector = [*manifest.members], manifest.detector
    head: dict[str, np.ndarray] = {}
    if has_head:
        normal, foreign = views.hidden.numpy(), views_of(network, data, FOREIGN).hidden.numpy()
        head_model = review_head.fit(normal, foreign, options=values.head, seed=values.seed)
        head = {f"{REVIEW_HEAD}/{key}": array for key, array in head_model.arrays().items()}
        members = [one for one in members or [detector] if one != REVIEW_HEAD] + [REVIEW_HEAD]
        detector = COMBINED
    gaussians, _ = fit_gaussians(
        training[f"{TRAIN}/features"],
        training[f"{TRAIN}/labels"],
        names,
        options=values.mahalanobis,
        tell=None,
    )
    detectors = _detectors(old, data, training, network, names) | head
    uses = [*members] if members else [detector]
    scored = {
        name: OF_MODELS[name].from_arrays(_of(name, detectors, gaussians))
        for name in dict.fromkeys([*uses, "mahalanobis"])
    }
    # `rows` is sorted, so this is the first row of each image, in the order of the data.
    _, once = np.unique(rows, return_index=True)
    return Refit(network, training, once, gaussians, detectors, scored, members, detector)


def out_of_fold(
    old: Bundle,
    data: LearningData,
    names: list[str],
    full_fit: Refit,
    *,
    backbone: Backbone,
    derived: bool,
) -> tuple[Scores, dict[str, Tensor]]:
    """Score the calibration images of a cross-conformal model by fits without their fold.

    Reviewed images are not used for calibration, and take part in every fit.

    Args:
        old: the previous model.
        data: the training data of the new model.
        names: c class names of the new model.
        full_fit: the fit to all data; the fits without a fold keep its kinds of covariance.
        backbone: the frozen backbone of the networks.
        derived: whether to score the synthetic anomalies, made from these images, in the same way.

    Returns:
        The scores and the logits (n, c) of the calibration images and of the synthetic anomalies.
    """
    values, reviewed = data.parameters, data.arrays[REVIEWED]
    calibration_rows = np.flatnonzero(~reviewed)
    n = len(calibration_rows)
    folds = deal(
        data.arrays[f"{TRAIN}/labels"][calibration_rows],
        count=min(FOLDS, n),
        rng=np.random.default_rng([values.seed, 4]),
    )
    fitting = Fitting(values, names, torch.device("cpu"), backbone)
    values = fitting.like(full_fit.training, full_fit.network.arrays()).values
    sources = {HELD_OUT: np.arange(n)}
    if derived:
        anomaly_sources = drawn_rows(
            n, most=values.derive.images, rng=np.random.default_rng(values.seed)
        )
        sources |= dict.fromkeys(
            (part for part in data.parts if part.startswith(DERIVED)), anomaly_sources
        )
    parts = {part: _rows(data, TRAIN if part == HELD_OUT else part) for part in sources}
    parts[HELD_OUT] = {name: array[calibration_rows] for name, array in parts[HELD_OUT].items()}
    scores: Scores = {part: {} for part in parts}
    logits = {
        part: torch.empty(len(source_rows), len(names)) for part, source_rows in sources.items()
    }
    with bar(int(folds.max()) + 1, "fit without a fold", "fold") as progress:
        for fold in range(int(folds.max()) + 1):
            is_training = np.ones(len(reviewed), bool)
            is_training[calibration_rows[folds == fold]] = False
            fit = fit_again(
                old,
                replace(_with_training(data, np.flatnonzero(is_training)), parameters=values),
                names,
                backbone=backbone,
                has_head=REVIEW_HEAD in full_fit.members,
            )
            for part, arrays in parts.items():
                rows = np.flatnonzero(folds[sources[part]] == fold)
                rows_of_fold = {f"{part}/{name}": array[rows] for name, array in arrays.items()}
                views = views_of(fit.network, replace(data, arrays=rows_of_fold), part)
                logits[part][rows] = views.logits
                for name, values_of_fold in fit.scores(views).items():
                    empty = np.empty(len(sources[part]), values_of_fold.dtype)
                    scores[part].setdefault(name, empty)[rows] = values_of_fold
            progress.update()
    return scores, logits


def _rows(data: LearningData, part: str) -> dict[str, np.ndarray]:
    """Return name -> array of the network inputs and autoencoder codes of a part."""
    names = (VECTORS, *CODES)
    return {
        name: data.arrays[f"{part}/{name}"] for name in names if f"{part}/{name}" in data.arrays
    }


def _with_training(data: LearningData, rows: np.ndarray) -> LearningData:
    """Return the data with the given rows of the training images; rows may repeat."""
    names = [name for name in data.arrays if name.startswith(f"{TRAIN}/") and name != SHOWN]
    return replace(
        data, arrays={**data.arrays, **{name: data.arrays[name][rows] for name in names}}
    )


def weighted(data: LearningData) -> tuple[LearningData, np.ndarray]:
    """Repeat the reviewed images by their weight; return the data, and the source row of each row.

    A few reviewed images among hundreds of others would change little: 30 images do not affect a
    distance to the 50th neighbor. The reviewed images of a new class therefore get the total weight
    of the smallest old class, and those of an old class half the weight of its other images.
    """
    labels, is_reviewed = data.arrays[f"{TRAIN}/labels"], data.arrays[REVIEWED]
    old = np.bincount(labels[~is_reviewed], minlength=labels.max() + 1)
    few = np.bincount(labels[is_reviewed], minlength=labels.max() + 1)
    target = np.where(old > 0, old // 2, old[old > 0].min())
    times = np.where(is_reviewed, np.maximum(1, target // np.maximum(few, 1))[labels], 1)
    rows = np.repeat(np.arange(len(labels)), times)
    return _with_training(data, rows), rows


def views_of(network: Network, data: LearningData, part: str) -> Views:
    """Return the detector inputs of the images of a part."""
    arrays = data.arrays
    if f"{part}/{VECTORS}" not in arrays:
        part_layers = {
            name: arrays[f"{part}/{name}"] for name in ("features", "logits", "hidden", "maps")
        }
        part_layers |= _codes(arrays, part, len(part_layers["features"]))
        return Views(**{name: torch.from_numpy(array) for name, array in part_layers.items()})
    vectors = torch.from_numpy(arrays[f"{part}/{VECTORS}"])
    device = next(network.parameters()).device
    layers = forward_pass(
        lambda batch: layers_of(network, batch), vectors, batch_size=network.batch, device=device
    )
    codes = _codes(arrays, part, len(vectors))
    return Views(*layers, *(torch.from_numpy(codes[name]) for name in CODES))


def _codes(arrays: Arrays, part: str, n: int) -> dict[str, np.ndarray]:
    """Return the autoencoder's codes and errors; empty arrays if no detector uses them."""
    empty = {"codes": np.empty((n, 0), np.float32), "reconstruction_error": np.empty(n, np.float32)}
    return {name: arrays.get(f"{part}/{name}", empty[name]) for name in CODES}


def _network(
    old: Bundle, data: LearningData, names: list[str], backbone: Backbone | None
) -> Network:
    """Return the network; above a frozen backbone, train it again as `belong fit` does."""
    manifest, values = old.manifest, data.parameters
    if not data.is_frozen or backbone is None:
        kind = NETWORKS[manifest.network]
        return kind.from_arrays(old.arrays["network"], manifest.shape, manifest.backbone).eval()

    def part(name: str) -> tuple[Tensor, Tensor]:
        vectors, labels = (data.arrays[f"{name}/{key}"] for key in (VECTORS, "labels"))
        return torch.from_numpy(vectors), torch.from_numpy(labels)

    if len(names) == 1:
        network = one_class.untrained(
            manifest.network,
            part(TRAIN)[0],
            embedding=values.train.embedding,
            backbone=backbone,
            generator=torch.Generator().manual_seed(values.seed),
        )
        return network.eval()
    is_cross = manifest.cross_conformal is not None
    vectors, labels = part(TRAIN)
    validation = (vectors[:1], labels[:1]) if is_cross else part(HELD_OUT)
    network, _ = fit_classifier(
        vectors,
        labels,
        validation,
        network=manifest.network,
        classes=len(names),
        options=TrainingOptions(lambda_=values.lambda_, **values.train.model_dump()),
        generator=torch.Generator().manual_seed(values.seed),
        device=torch.device("cpu"),
        backbone=backbone,
        refuses_chance=not is_cross,
        description=None if is_cross else "train",
    )
    return network.eval()


def _detectors(
    old: Bundle, data: LearningData, arrays: Arrays, network: Network, names: list[str]
) -> dict[str, np.ndarray]:
    """Fit the detectors that the model uses, except the Gaussians: `DETECTOR/ARRAY` -> array."""
    weights, values = network.arrays(), data.parameters
    weight, bias = weights["classifier.weight"], weights["classifier.bias"]
    training = training_of(arrays, names, weight, bias)
    sections = sections_of(values.detectors, values.seed)
    detectors: dict[str, np.ndarray] = {}
    for name in old.manifest.uses:
        if name in stored_in("detectors"):
            detector_arrays = DETECTORS[name].fit(training, **sections.get(name, {})).arrays()
        elif name in stored_in("head"):
            detector_arrays = old.of_detector(name)
        else:
            continue
        detectors |= {f"{name}/{key}": array for key, array in detector_arrays.items()}
    return detectors


def _of(name: str, arrays: Arrays, gaussians: Arrays) -> dict[str, np.ndarray]:
    if name in stored_in("gaussians"):
        return dict(gaussians)
    start = f"{name}/"
    return {key.removeprefix(start): x for key, x in arrays.items() if key.startswith(start)}
