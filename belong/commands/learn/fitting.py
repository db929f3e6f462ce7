"""Fit the network and the detectors of a model again, to all that is known or without a fold."""

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
    """A network and detectors that are fitted to the training images and the reviewed ones.

    Attributes:
        network: the classifier.
        training: `normal/train/VIEW` and labels, each reviewed image as often as it counts.
        once: the first row of each image among these.
        gaussians: the arrays of `mahalanobis`.
        detectors: `DETECTOR/ARRAY` of all others.
        asked: the detectors that decide, and `mahalanobis`.
        members: those that `combined` is made of; none: a single detector decides.
        detector: the name of the one that decides.
    """

    network: Network
    training: dict[str, np.ndarray]
    once: np.ndarray
    gaussians: dict[str, np.ndarray]
    detectors: dict[str, np.ndarray]
    asked: dict[str, Detector]
    members: list[str]
    detector: str

    def scores(self, views: Views) -> dict[str, np.ndarray]:
        """Return detector -> scores (n,) of images."""
        return {name: one.score(views).numpy() for name, one in self.asked.items()}


def fit_again(
    old: Bundle,
    data: LearningData,
    names: list[str],
    *,
    backbone: Backbone | None,
    has_head: bool,
) -> Refit:
    """Fit to the training images and the reviewed ones.

    Args:
        old: the model before.
        data: the training data of the new one.
        names: c, its classes.
        backbone: the frozen one that a network is trained on; None: the network stays as it is.
        has_head: whether a head is trained with the foreign images.

    Raises:
        InputError: the training fails.
    """
    data, rows = weighted(data)
    manifest, values = old.manifest, data.parameters
    network = _network(old, data, names, backbone)
    seen = views_of(network, data, TRAIN)
    training = seen.arrays(TRAIN) | {f"{TRAIN}/labels": data.arrays[f"{TRAIN}/labels"]}
    members, detector = [*manifest.members], manifest.detector
    head: dict[str, np.ndarray] = {}
    if has_head:
        ours, others = seen.hidden.numpy(), views_of(network, data, FOREIGN).hidden.numpy()
        fitted = review_head.fit(ours, others, options=values.head, seed=values.seed)
        head = {f"{REVIEW_HEAD}/{key}": array for key, array in fitted.arrays().items()}
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
    asked = {
        name: OF_MODELS[name].from_arrays(_of(name, detectors, gaussians))
        for name in dict.fromkeys([*uses, "mahalanobis"])
    }
    # Each image once, in the order of the data: the rows come in its order.
    _, once = np.unique(rows, return_index=True)
    return Refit(network, training, once, gaussians, detectors, asked, members, detector)


def out_of_fold(
    old: Bundle,
    data: LearningData,
    names: list[str],
    known: Refit,
    *,
    backbone: Backbone,
    derived: bool,
) -> tuple[Scores, dict[str, Tensor]]:
    """Score the first training images by what is fitted without them, as `belong fit` did.

    The reviewed images, which calibrate nothing, have a part in each fit.

    Args:
        old: the model before.
        data: the training data of the new one.
        names: c, its classes.
        known: what was fitted to all of the data; the folds keep its kinds of covariance.
        backbone: the frozen one that the networks are trained on.
        derived: whether the anomalies in the data are made of these images, and scored like them.

    Returns:
        The scores and the logits (n, c) of the calibration images, which these are, and of the
        anomalies.
    """
    values, reviewed = data.parameters, data.arrays[REVIEWED]
    own = np.flatnonzero(~reviewed)
    n = len(own)
    folds = deal(
        data.arrays[f"{TRAIN}/labels"][own],
        count=min(FOLDS, n),
        rng=np.random.default_rng([values.seed, 4]),
    )
    fitting = Fitting(values, names, torch.device("cpu"), backbone)
    values = fitting.like(known.training, known.network.arrays()).values
    sources = {HELD_OUT: np.arange(n)}
    if derived:
        drawn = drawn_rows(n, most=values.derive.images, rng=np.random.default_rng(values.seed))
        sources |= dict.fromkeys((part for part in data.parts if part.startswith(DERIVED)), drawn)
    parts = {part: _rows(data, TRAIN if part == HELD_OUT else part) for part in sources}
    parts[HELD_OUT] = {name: array[own] for name, array in parts[HELD_OUT].items()}
    scores: Scores = {part: {} for part in parts}
    logits = {part: torch.empty(len(own), len(names)) for part, own in sources.items()}
    with bar(int(folds.max()) + 1, "fit without a fold", "fold") as progress:
        for fold in range(int(folds.max()) + 1):
            is_known = np.ones(len(reviewed), bool)
            is_known[own[folds == fold]] = False
            one = fit_again(
                old,
                replace(_with_training(data, np.flatnonzero(is_known)), parameters=values),
                names,
                backbone=backbone,
                has_head=REVIEW_HEAD in known.members,
            )
            for part, arrays in parts.items():
                which = np.flatnonzero(folds[sources[part]] == fold)
                some = {f"{part}/{name}": array[which] for name, array in arrays.items()}
                seen = views_of(one.network, replace(data, arrays=some), part)
                logits[part][which] = seen.logits
                for name, found in one.scores(seen).items():
                    empty = np.empty(len(sources[part]), found.dtype)
                    scores[part].setdefault(name, empty)[which] = found
            progress.update()
    return scores, logits


def _rows(data: LearningData, part: str) -> dict[str, np.ndarray]:
    """Return name -> array of what the network takes of a part."""
    names = (VECTORS, *CODES)
    return {
        name: data.arrays[f"{part}/{name}"] for name in names if f"{part}/{name}" in data.arrays
    }


def _with_training(data: LearningData, rows: np.ndarray) -> LearningData:
    """Return the data with some of the training images, or with some of them repeatedly."""
    names = [name for name in data.arrays if name.startswith(f"{TRAIN}/") and name != SHOWN]
    return replace(
        data, arrays={**data.arrays, **{name: data.arrays[name][rows] for name in names}}
    )


def weighted(data: LearningData) -> tuple[LearningData, np.ndarray]:
    """Return the data with the reviewed images as often as they count, and the rows of each.

    A few reviewed images beside hundreds of others would change little: a distance to the 50th
    neighbor does not see 30 of them. So those of a new class count as much as the smallest old
    class, and those of an old one half as much as the others of it.
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
    """Return what the autoencoder makes of images; nothing where no detector looks at it."""
    empty = {"codes": np.empty((n, 0), np.float32), "reconstruction_error": np.empty(n, np.float32)}
    return {name: arrays.get(f"{part}/{name}", empty[name]) for name in CODES}


def _network(
    old: Bundle, data: LearningData, names: list[str], backbone: Backbone | None
) -> Network:
    """Return the network; above a frozen backbone it is trained again, as `belong fit` does it."""
    manifest, values = old.manifest, data.parameters
    if not data.is_frozen or backbone is None:
        kind = NETWORKS[manifest.network]
        return kind.from_arrays(old.arrays["network"], manifest.shape, manifest.backbone).eval()

    def part(name: str) -> tuple[Tensor, Tensor]:
        vectors, labels = (data.arrays[f"{name}/{key}"] for key in (VECTORS, "labels"))
        return torch.from_numpy(vectors), torch.from_numpy(labels)

    if len(names) == 1:
        drawn = one_class.untrained(
            manifest.network,
            part(TRAIN)[0],
            embedding=values.train.embedding,
            backbone=backbone,
            generator=torch.Generator().manual_seed(values.seed),
        )
        return drawn.eval()
    is_cross = manifest.cross_conformal is not None
    vectors, labels = part(TRAIN)
    measured = (vectors[:1], labels[:1]) if is_cross else part(HELD_OUT)
    trained, _ = fit_classifier(
        vectors,
        labels,
        measured,
        network=manifest.network,
        classes=len(names),
        options=TrainingOptions(lambda_=values.lambda_, **values.train.model_dump()),
        generator=torch.Generator().manual_seed(values.seed),
        device=torch.device("cpu"),
        backbone=backbone,
        refuses_chance=not is_cross,
        description=None if is_cross else "train",
    )
    return trained.eval()


def _detectors(
    old: Bundle, data: LearningData, arrays: Arrays, network: Network, names: list[str]
) -> dict[str, np.ndarray]:
    """Fit the detectors that the model asks, but for the Gaussians: `DETECTOR/ARRAY`."""
    weights, values = network.arrays(), data.parameters
    weight, bias = weights["classifier.weight"], weights["classifier.bias"]
    training = training_of(arrays, names, weight, bias)
    sections = sections_of(values.detectors, values.seed)
    fitted: dict[str, np.ndarray] = {}
    for name in old.manifest.uses:
        if name in stored_in("detectors"):
            detector_arrays = DETECTORS[name].fit(training, **sections.get(name, {})).arrays()
        elif name in stored_in("head"):
            detector_arrays = old.of_detector(name)
        else:
            continue
        fitted |= {f"{name}/{key}": array for key, array in detector_arrays.items()}
    return fitted


def _of(name: str, others: Arrays, gaussians: Arrays) -> dict[str, np.ndarray]:
    if name in stored_in("gaussians"):
        return dict(gaussians)
    start = f"{name}/"
    return {key.removeprefix(start): x for key, x in others.items() if key.startswith(start)}
