"""A training and an evaluation under unexpected conditions.

There need be no GPU: that its memory is used up is said by torch's own error, raised where it
arises, in the network.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from belong.models import train_classifier
from belong.models.lenet import LeNet
from belong.runtime.exit_codes import OUT_OF_MEMORY
from belong.runtime.storage import load_about, load_arrays, save_arrays
from tests.robustness.faults.fault import INPUT, OUTPUT, Fault
from tests.robustness.faults.images import PNG
from tests.robustness.faults.images import score as score_words
from tests.small_report import PARAMS

TRAINED_ON = 1600  # images
LAST_GOOD = "network"


def _trained(**changes: str) -> Callable[[Path, Path], list[str]]:
    """Return what trains over the last good network, with other lines in params.yaml."""

    def spoil(folder: Path, model: Path) -> list[str]:
        params = _params(folder, **changes)
        (folder / OUTPUT).mkdir()
        if not changes:
            (folder / OUTPUT / LAST_GOOD).write_text("the last good one")
        inputs = (f"{model.parent / name}" for name in ("backbone", "images", "embedded"))
        outputs = (f"{folder / OUTPUT / name}" for name in ("history.csv", LAST_GOOD))
        return ["stages.train", f"{params}", *inputs, *outputs]

    return spoil


def _params(folder: Path, **changes: str) -> Path:
    text, params = PARAMS, folder / INPUT / "params.yaml"
    for key, value in changes.items():
        old = next(line for line in text.splitlines() if line.startswith(f"  {key}: "))
        text = text.replace(old, f"  {key}: {value}", 1)
    params.write_text(text, encoding="utf-8")
    return params


def _scored(folder: Path, model: Path) -> list[str]:
    (folder / INPUT / "a.png").write_bytes(PNG)
    return score_words(folder, model, "--no-gallery")


def _without_memory(_folder: Path) -> AbstractContextManager[object]:
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
    return patch.object(LeNet, "_activations", side_effect=error)


@contextmanager
def _weights_spoiled_after_two_epochs(_folder: Path) -> Iterator[None]:
    """Spoil them in each attempt: of three epochs, the third is no number."""
    epochs: list[float] = []
    measured = train_classifier.accuracy

    def accuracy(network: LeNet, images: torch.Tensor, labels: torch.Tensor) -> float:
        epochs.append(measured(network, images, labels))
        if len(epochs) % 3 == 2:
            with torch.no_grad():
                network.classifier.weight.fill_(torch.nan)
        return epochs[-1]

    with patch.object(train_classifier, "accuracy", accuracy):
        yield


def _measured_without_anomalies(folder: Path, model: Path) -> list[str]:
    """Measure a run whose test images are all normal."""
    pipeline, scores = model.parent, folder / INPUT / "scores"
    arrays = load_arrays(pipeline / "scores")
    normal = {name: values for name, values in arrays.items() if name.startswith("normal/")}
    save_arrays(scores, normal, load_about(pipeline / "scores"))
    inputs = (f"{pipeline / name}" for name in ("manifest", "history", "features", "gaussians"))
    names = ("metrics.json", "metrics_all.json", "plots")
    outputs = (f"{folder / OUTPUT / name}" for name in names)
    return ["stages.evaluate", f"{_params(folder)}", *inputs, f"{scores}", *outputs]


FAULTS = [
    Fault(
        "loss that is no number in epoch 3", _trained(), "the loss is nan after epoch 3", 2,
        around=_weights_spoiled_after_two_epochs,
    ),
    Fault(
        "memory of a GPU used up in a training (torch's error, raised in the network)",
        _trained(), OUT_OF_MEMORY, 2, around=_without_memory,
    ),
    Fault(
        "memory of a GPU used up while scoring (torch's error, raised in the network)",
        _scored, OUT_OF_MEMORY, 2, around=_without_memory,
    ),
    Fault(
        "last batch of one image",
        _trained(batch_size=f"{(TRAINED_ON - 1) // 39}"), " 3,",
        where=f"{OUTPUT}/history.csv",
    ),
    Fault(
        "AUROC of one class, normal images only", _measured_without_anomalies,
        '"auroc": null', where=f"{OUTPUT}/metrics.json",
    ),
]  # fmt: skip
