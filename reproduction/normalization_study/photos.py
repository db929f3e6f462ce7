"""Train above the frozen EfficientNet-Lite0 on a part of CIFAR-10, and measure the detectors."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from belong.models.forward_pass import forward_pass
from belong.models.train_classifier import TrainingOptions, fit_classifier
from reproduction.normalization_study.measures import CPU, aurocs
from reproduction.normalization_study.recipes import DEFAULT
from reproduction.photo_study.study import Cell as PhotoCell
from reproduction.photo_study.study import Material, material, rows_of, save_inputs

KIND = "frozen"
SETS = {"anomaly": "anomaly/test", "third": "third/test", "far": "far/test"}


@dataclass(frozen=True)
class Cell(PhotoCell):
    """One training above the backbone."""

    @property
    def key(self) -> tuple[str, str, float, int]:
        """The key of its row in the table: pair, recipe, lambda and seed."""
        return self.pair, DEFAULT.name, self.weight, self.seed


@contextmanager
def vectors(photos: Path, far: Path) -> Iterator[Material]:
    """Yield the frozen backbone's vectors of the photos, which all cells share."""
    with tempfile.TemporaryDirectory() as folder:
        save_inputs(KIND, [photos, far], Path(folder))
        yield material(KIND, Path(folder))


def measured(cell: Cell, shared: Material) -> dict[str, Any]:
    """Split and train as the photo study does, and score; return the measurements."""
    names, photos = cell.classes, shared.photos
    rows = dict(rows_of(cell, photos))
    numbers = [names.index(x) if x in names else -1 for x in photos.class_names]
    labels = torch.tensor(numbers)

    def part(name: str) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(np.array(photos.images[rows[name]])), labels[rows[name]]

    train, train_labels = part("normal/train")
    test, truth = part("normal/test")
    network, _ = fit_classifier(
        train,
        train_labels,
        part("normal/calibration"),
        network="frozen",
        classes=len(names),
        options=TrainingOptions(lambda_=cell.weight, **shared.parameters.train.model_dump()),
        generator=torch.Generator().manual_seed(cell.seed),
        device=CPU,
        backbone=shared.backbone,
    )
    network.eval()

    def features(inputs: Tensor) -> tuple[Tensor, Tensor]:
        vectors, logits = forward_pass(network, inputs, batch_size=network.batch, device=CPU)
        return vectors, logits

    vectors, logits = features(test)
    sets = {name: features(part(of)[0])[0] for name, of in SETS.items()}
    row: dict[str, Any] = {"accuracy": (logits.argmax(dim=1) == truth).double().mean().item()}
    for one in aurocs(features(train)[0], train_labels, names, vectors, sets):
        row[f"{one.detector}.{one.features}.{one.anomalies}"] = one.value
    return {key: round(x, 5) if isinstance(x, float) else x for key, x in row.items()}
