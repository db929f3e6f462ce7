"""Train LeNet on a pair of digits and fashion by a recipe, and measure the study's detectors."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.commands.fit.settings import parameters
from belong.data.dataset import DataSet
from belong.data.loader import pack_all
from belong.data.splits import split
from belong.data.synthetic_anomalies import derive
from belong.models.base import Network
from belong.models.forward_pass import forward_pass
from belong.models.train_classifier import train_classifier
from reproduction.normalization_study.measures import CPU, DETECTORS, aurocs
from reproduction.normalization_study.recipes import Recipe

IMAGES, EPOCHS = 20_000, 8  # of a small training
OTHERS = 3000  # images of each further set of a trial
TRIAL = "trial"


@dataclass(frozen=True)
class Pair:
    """Classes that are normal, and the anomalies.

    Attributes:
        normal: classes of MNIST.
        anomaly: the data set of the anomalies, and
        classes: its classes.
        sets: name in the table -> part of the split that is measured.
        held_out: the part of the normal images that is measured.
        images: the number of training images, drawn at random; None for all of them.
    """

    normal: str
    anomaly: str
    classes: str
    sets: Mapping[str, str]
    held_out: str = "normal/test"
    images: int | None = None


FASHION = Pair("all", "fashion", "all", {"anomaly": "anomaly/test"})
DIGIT_0 = Pair("1-9", "digits", "0", {"anomaly": "anomaly/test"})
# A trial chooses a recipe: its columns `left_out` and `derived` see neither test images nor digit
# 0 nor FashionMNIST. The other two are for the comparison with the choice.
PAIRS = {
    "mnist-fashion-mnist": FASHION,
    "digit-0": DIGIT_0,
    "small-mnist-fashion-mnist": replace(FASHION, images=IMAGES),
    "small-digit-0": replace(DIGIT_0, images=IMAGES),
    TRIAL: Pair(
        "1-6", "digits", "7-9",
        {"left_out": "anomaly/head", "digit_0": "left_out/test", "fashion": "unseen/test"},
        "normal/calibration",
        IMAGES,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One training."""

    pair: str
    recipe: Recipe
    seed: int

    @property
    def key(self) -> tuple[str, str, float, int]:
        """The key of its row in the table: pair, recipe, lambda and seed."""
        return self.pair, self.recipe.name, self.recipe.lambda_, self.seed


def measured(cell: Cell, digits: Path, fashion: Path) -> dict[str, Any]:
    """Split, train and score as the pipeline does; return what was measured."""
    pair = PAIRS[cell.pair]
    arrays, names = _parts(cell.pair, cell.seed, str(digits), str(fashion))
    parts = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
    images, labels = parts["normal/train/images"], parts["normal/train/labels"]
    recipe, held_out = cell.recipe, parts[f"{pair.held_out}/images"]
    sets = {name: parts[f"{part}/images"] for name, part in pair.sets.items()}
    if pair.images:
        rows = torch.randperm(len(images), generator=_generator(cell.seed))[: pair.images]
        images, labels = images[rows], labels[rows]
    if cell.pair == TRIAL:
        sets = {name: x[:: max(1, len(x) // OTHERS)] for name, x in sets.items()} | {
            part: torch.from_numpy(x)
            for part, x in derive(held_out.numpy(), most=OTHERS // 6, seed=cell.seed)
        }
    generator = _generator(cell.seed)
    network = recipe.network(images, len(names), generator)
    calibration = tuple(parts[f"normal/calibration/{kind}"] for kind in ("images", "labels"))
    train_classifier(
        network, images, labels, (calibration[0], calibration[1]), options=recipe.options,
        generator=generator, description=None,
    )  # fmt: skip
    features, _ = outputs(network, images)
    test_features, logits = outputs(network, held_out)
    truth = parts[f"{pair.held_out}/labels"]
    row: dict[str, Any] = {
        "accuracy": (logits.argmax(dim=1) == truth).double().mean().item(),
        "nll": F.cross_entropy(logits, truth).item(),
    }  # fmt: skip
    areas = aurocs(
        features, labels, names, test_features,
        {name: outputs(network, x)[0] for name, x in sets.items()},
        detectors=DETECTORS[:3] if cell.pair == TRIAL else DETECTORS,
    )  # fmt: skip
    derived: dict[str, list[float]] = {}
    for one in areas:
        column = f"{one.detector}.{one.features}"
        if one.anomalies.startswith("derived/"):
            derived.setdefault(f"{column}.derived", []).append(one.value)
        else:
            row[f"{column}.{one.anomalies}"] = one.value
    row |= {column: float(np.mean(values)) for column, values in derived.items()}
    return {key: round(x, 5) if isinstance(x, float) else x for key, x in row.items()}


def outputs(network: Network, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return features (n, d) and logits (n, c) of images (n, ch, h, w) uint8."""
    network.eval()
    features, logits = forward_pass(network, images, batch_size=network.batch, device=CPU)
    return features, logits


@lru_cache(maxsize=1)
def _parts(
    name: str, seed: int, digits: str, fashion: str
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    pair = PAIRS[name]
    paths = {"digits": digits, "fashion": fashion}
    values = parameters(
        {
            "normal.path": digits,
            "normal.classes": pair.normal,
            "anomaly.path": paths[pair.anomaly],
            "anomaly.classes": pair.classes,
            "unseen.path": fashion,
        }
    )
    divided = split(
        _packed(digits, fashion),
        {"normal": values.normal, "anomaly": values.anomaly, "unseen": values.unseen},
        options=values.split,
        alpha=values.calibration.alpha,
        seed=seed,
    )
    return divided.arrays, divided.class_names


@lru_cache(maxsize=1)
def _packed(digits: str, fashion: str) -> dict[str, DataSet]:
    packs = pack_all([digits, fashion], options=parameters({}).images)
    return {path: packed.data for path, packed in packs.items()}


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(recipe: Recipe) -> Recipe:
    """Return a recipe with the epochs of a small training, unless it sets its own."""
    return replace(recipe, train={"epochs": EPOCHS} | dict(recipe.train))
