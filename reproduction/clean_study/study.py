r"""Measure what `belong clean` finds of images that are planted, and what a training gains by it.

    python -m reproduction.clean_study.study data/raw/fashion-mnist data/raw/mnist \
        reports/cleaning --epochs 12

It is no stage of dvc.yaml: it takes minutes, and nothing depends on it. `dvc checkout`, or
`dvc repro data/dvc.yaml`, brings the images.

Reads   normal   IDX files: the images that belong
        foreign  IDX files of the same form: some of them are planted
Writes  folder   found.csv: precision and recall for what was planted; accuracy.csv: of networks
                 trained before and after, and on what a perfect cleaning would leave; README.md
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from belong.commands.arguments import count, share
from belong.commands.clean.clean import clean
from belong.commands.clean.options import CleanOptions
from belong.commands.fit.plan import training_of
from belong.commands.fit.settings import parameters
from belong.data import idx
from belong.data.dataset import DataSet
from belong.models import device as devices
from belong.models.train_classifier import TrainingOptions, accuracy, fit_classifier
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.storage import save_csv, save_text
from belong.runtime.text import say
from reproduction.clean_study.page import page
from reproduction.clean_study.planted_errors import Planted, found, plant

IMAGES, SHARE, SEEDS = 12_000, 0.02, 3


def main(arguments: Sequence[str]) -> int:
    """Plant, clean, count, train; return the exit code."""
    given = _parser().parse_args(arguments)
    return exit_code_of(
        lambda: _study(given),
        say,
        interrupted="interrupted; the draws that were finished are written",
    )


def _study(given: argparse.Namespace) -> int:
    normal, foreign = (idx.read(path) for path in (given.normal, given.foreign))
    rows: list[dict[str, object]] = []
    accuracies: list[dict[str, object]] = []
    # Not seed 0: with that draw the law of the scores and the trimming were chosen.
    for seed in range(1, given.seeds + 1):
        rng = np.random.default_rng(seed)
        planted = plant(normal, foreign, images=given.images, share=given.share, rng=rng)
        settings = {"seed": seed, **({"train.epochs": given.epochs} if given.epochs else {})}
        manifest = _cleaned(planted, normal.class_names, settings)
        rows += [{"seed": seed, **row} for row in found(manifest, planted.kind)]
        accuracies += [
            {"seed": seed, **row} for row in _accuracies(planted, manifest, normal, settings)
        ]
        _save(given, pd.DataFrame(rows), pd.DataFrame(accuracies))  # of those that are finished
    return 0


def _save(given: argparse.Namespace, rows: pd.DataFrame, accuracies: pd.DataFrame) -> None:
    save_csv(given.folder / "found.csv", rows)
    save_csv(given.folder / "accuracy.csv", accuracies)
    names = given.normal.name, given.foreign.name
    text = page(rows, accuracies, names, images=given.images, epochs=given.epochs)
    save_text(given.folder / "README.md", text)


def _cleaned(
    planted: Planted, class_names: Sequence[str], settings: Mapping[str, object]
) -> pd.DataFrame:
    """Write the images as files, clean the folder, and return its manifest in their order."""
    with tempfile.TemporaryDirectory() as work:
        folder, out = Path(work, "images"), Path(work, "out")
        paths = [f"{class_names[label]}/{row:06d}.png" for row, label in enumerate(planted.labels)]
        for path, image in zip(paths, planted.images, strict=True):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0] if len(image) == 1 else image.transpose(1, 2, 0)).save(
                folder / path
            )
        clean(folder, out, CleanOptions(settings=settings))
        manifest = pd.read_csv(out / "manifest.csv", keep_default_na=False)
        return manifest.set_index("path").loc[paths].reset_index()


def _accuracies(
    planted: Planted, manifest: pd.DataFrame, normal: DataSet, settings: Mapping[str, object]
) -> Iterator[dict[str, object]]:
    """Yield the accuracy on the test images of networks trained on four sets."""
    values = parameters(settings)
    device = devices.choose(values.device)
    test = (
        torch.from_numpy(normal.images[normal.is_test]).to(device),
        torch.from_numpy(normal.labels[normal.is_test]).to(device),
    )
    verdict = manifest["verdict"].to_numpy()
    every, right = np.ones(len(verdict), bool), planted.truth >= 0
    for name, rows, labels in (
        ("as it is", every, planted.labels),
        ("without quarantine", verdict != "quarantine", planted.labels),
        ("keep alone", verdict == "keep", planted.labels),
        ("the truth", right, planted.truth),
    ):
        inputs, own = torch.from_numpy(planted.images[rows]), torch.from_numpy(labels[rows])
        training = training_of(
            values.train, settings, fitted=len(own), network="lenet", side_px=inputs.shape[-1]
        )
        network, _ = fit_classifier(
            inputs,
            own,
            (inputs[:1], own[:1]),
            network="lenet",
            classes=len(normal.class_names),
            options=TrainingOptions(lambda_=values.lambda_, **training.model_dump()),
            generator=torch.Generator().manual_seed(values.seed),
            device=device,
            refuses_chance=False,
        )
        yield {"trained_on": name, "images": len(own), "accuracy": accuracy(network, *test)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reproduction.clean_study.study",
        description="Measure what belong clean finds.",
    )
    parser.add_argument("normal", type=Path, help="IDX files of the images that belong")
    parser.add_argument("foreign", type=Path, help="IDX files of those that are planted")
    parser.add_argument("folder", type=Path, help="for the tables and README.md")
    parser.add_argument("--images", type=count, default=IMAGES, help=f"default: {IMAGES}")
    parser.add_argument(
        "--share", type=share, default=SHARE, help=f"of each kind planted (default: {SHARE})"
    )
    parser.add_argument("--seeds", type=count, default=SEEDS, help=f"default: {SEEDS}")
    parser.add_argument("--epochs", type=count, help="passes (default: as `belong fit` has them)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
