r"""Measure CIFAR-10 with EfficientNet-Lite0, frozen or fine-tuned.

Also the frozen backbone on full-size photos, which `reproduction.photo_study.fetch` downloads.

    python -m reproduction.photo_study.study frozen data/raw/cifar10 data/raw/fashion-mnist \
        reports/photos/frozen.csv
    python -m reproduction.photo_study.study fine_tuned data/raw/cifar10 data/raw/fashion-mnist \
        reports/photos/fine_tuned.csv
    python -m reproduction.photo_study.study full_size data/photos/clothing \
        reports/photos/full_size.csv

A cell is a part of the classes, a lambda and a seed: it trains the classifier and fits all
detectors with the functions that the pipeline and `belong fit` call. Cells already in the file are
not run again. This is not a stage of dvc.yaml: it takes up to an hour, and only the page depends
on it.

Reads   photos  CIFAR-10, a folder for each class below `train` and `test`; or full-size photos
        far     IDX files of another data set; none beside full-size photos
Writes  table   a row for each cell, in the columns of a grid
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from belong.commands.arguments import count
from belong.commands.fit.plan import PHOTO_LAMBDA
from belong.commands.fit.settings import parameters
from belong.detectors import mlp_head
from belong.detectors.combination import candidates_of, rule_of
from belong.detectors.fit import fit_detectors, fit_gaussians
from belong.detectors.member_selection import Retraining, select_members
from belong.detectors.score_parts import score_parts
from belong.evaluation import metrics as measure
from belong.models import autoencoder, network_choice
from belong.models import device as devices
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.catalog import backbone_named
from belong.models.feature_cache import users_cache
from belong.models.feature_extraction import embed, extract_parts
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.parameters import Parameters
from belong.runtime import portable_math
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.progress import bar
from belong.runtime.storage import load_csv, save_csv
from belong.runtime.text import counted, say
from reproduction.photo_study.images import Photos, load, load_full_size
from reproduction.photo_study.parts import (
    ANOMALIES,
    CLOTHES,
    FAR,
    FULL_SIZE,
    LAMBDAS,
    NEAR,
    PARTS,
    SEEDS,
    THIRD,
)

BACKBONE = "efficientnet_lite0"
CALIBRATION = 50  # training photos of each class
FULL_SIZE_TRAIN = 400  # of each class, beside these
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Design:
    """How one half of the study is run.

    Attributes:
        side_px: of the photos.
        seeds: the number of seeds.
        lambdas: the weights of the center loss.
        settings: keys of params.yaml that differ from its defaults.
    """

    side_px: int
    seeds: int
    lambdas: Sequence[float]
    settings: Mapping[str, object]


PRETRAINED: Mapping[str, object] = {"network": BACKBONE, "backbone.weights": "pretrained"}
ABOVE_FROZEN: Mapping[str, object] = {
    **PRETRAINED,
    "backbone.frozen": True,
    "train.epochs": 40,
    "detectors.vim.principal": 64,
}
# The learning rate and epochs of `fine_tuned` were fixed before any result.
DESIGNS = {
    "frozen": Design(224, SEEDS["frozen"], LAMBDAS, ABOVE_FROZEN),
    "full_size": Design(224, SEEDS["full-size"], (PHOTO_LAMBDA,), ABOVE_FROZEN),
    "fine_tuned": Design(
        96,
        SEEDS["fine-tuned"],
        LAMBDAS,
        {
            **PRETRAINED,
            "backbone.frozen": False,
            "train.epochs": 6,
            "train.batch_size": 32,
            "train.learning_rate": 0.01,
            "train.flip": True,
            "train.shift_px": 6,
            "detectors.vim.principal": 640,
        },
    ),
}


@dataclass(frozen=True)
class Cell:
    """One training; `part` is one of CIFAR-10, or `FULL_SIZE`."""

    part: str
    weight: float
    seed: int

    @property
    def pair(self) -> str:
        """The name in the table."""
        return self.part if self.part == FULL_SIZE else f"cifar10-{self.part}"

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes."""
        return CLOTHES if self.part == FULL_SIZE else PARTS[self.part]


@dataclass(frozen=True)
class Material:
    """What all cells share.

    Attributes:
        kind: of the design.
        photos: their `images` are what the network takes: pixels, or vectors (n, v) float32.
        backbone: what made the vectors, or what is fine-tuned.
        parameters: of the design.
    """

    kind: str
    photos: Photos
    backbone: Backbone
    parameters: Parameters


def main(arguments: Sequence[str]) -> int:
    """Run the cells that are missing; return the exit code."""
    options = _parser().parse_args(arguments)
    message = "interrupted; the cells that were finished are written"
    return exit_code_of(lambda: _study(options), say, interrupted=message)


def _study(options: argparse.Namespace) -> int:
    design = DESIGNS[options.kind]
    cells = [
        Cell(part, weight, seed)
        for seed in range(options.seeds or design.seeds)
        for part in ((FULL_SIZE,) if options.kind == "full_size" else PARTS)
        for weight in design.lambdas
    ]
    table = load_csv(options.table) if options.table.exists() else pd.DataFrame()
    known = set() if table.empty else set(table[["pair", "lambda", "seed"]].itertuples(index=False))
    missing = [cell for cell in cells if (cell.pair, cell.weight, cell.seed) not in known]
    rows: list[Any] = table.to_dict("records")
    if not missing:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        save_inputs(options.kind, options.sources, Path(folder))
        pool = ProcessPoolExecutor(
            options.jobs,
            mp_context=get_context("spawn"),
            initializer=_prepare,
            initargs=(options.kind, Path(folder)),
        )
        with pool, bar(len(missing), options.kind, "cell") as progress:
            for row in pool.map(_cell, missing):
                rows.append(row)
                ordered = pd.DataFrame(rows).sort_values(["pair", "lambda", "seed"], kind="stable")
                save_csv(options.table, ordered)  # the cells finished so far
                progress.update()
    return 0


_material: Material | None = None  # of this process


def _prepare(kind: str, folder: Path) -> None:
    global _material
    devices.compute_repeatably(1, portable_math.current())
    _material = material(kind, folder)


def _cell(cell: Cell) -> dict[str, Any]:
    if _material is None:
        raise InputError("the process has no photos")
    return measured(cell, _material)


def save_inputs(kind: str, sources: Sequence[Path], folder: Path) -> None:
    """Save what the network takes: the photos, or their vectors where the backbone is frozen."""
    expected = 1 if kind == "full_size" else 2
    if len(sources) != expected:
        raise InputError(f"{kind}: expected {counted(expected, 'folder')}, got {len(sources)}")
    side_px, (photos, *far) = DESIGNS[kind].side_px, sources
    loaded = load(photos, *far, side_px=side_px) if far else load_full_size(photos, side_px=side_px)
    inputs = loaded.images
    if is_frozen(kind):
        inputs = embed(
            backbone_named(BACKBONE), torch.from_numpy(inputs), device=CPU, cache=users_cache()
        ).numpy()
    arrays = replace(loaded, images=inputs)
    for field in fields(Photos):
        array = getattr(arrays, field.name)
        np.save(folder / field.name, array.astype(str) if array.dtype == object else array)


def is_frozen(kind: str) -> bool:
    """Whether only what is above the backbone is trained."""
    return bool(DESIGNS[kind].settings["backbone.frozen"])


def material(kind: str, folder: Path) -> Material:
    """Open what `save_inputs` saved; the files stay on the disk."""
    arrays = {
        field.name: np.load(folder / f"{field.name}.npy", mmap_mode="c") for field in fields(Photos)
    }
    settings = dict(DESIGNS[kind].settings)
    return Material(kind, Photos(**arrays), backbone_named(BACKBONE), parameters(settings))


def measured(cell: Cell, shared: Material) -> dict[str, Any]:
    """Train, fit, score: return the row of a cell."""
    start = time.perf_counter()
    chosen, photos = shared.parameters, shared.photos
    names = cell.classes
    rows = dict(rows_of(cell, photos))
    labels = np.array([names.index(x) if x in names else -1 for x in photos.class_names], np.int64)
    train, held_out = rows["normal/train"], rows["normal/calibration"]

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(cell.seed)

    frozen = network_choice.is_frozen(chosen.network, chosen.backbone)
    training = TrainingOptions(lambda_=cell.weight, **chosen.train.model_dump())
    network, history = fit_classifier(
        torch.from_numpy(photos.images[train]),
        torch.from_numpy(labels[train]),
        (torch.from_numpy(photos.images[held_out]), torch.from_numpy(labels[held_out])),
        network=network_choice.kind_of(chosen.network, chosen.backbone),
        classes=len(names),
        options=training,
        generator=generator(),
        device=CPU,
        backbone=shared.backbone,
    )
    coder, _ = autoencoder.fit(
        torch.from_numpy(photos.small[train]),
        generator=generator(),
        **chosen.autoencoder.model_dump(),
    )
    features = extract_parts(
        network,
        coder,
        (
            (part, photos.images[rows_of_part], photos.small[rows_of_part])
            for part, rows_of_part in rows.items()
        ),
        device=CPU,
    )
    for part in ("normal/train", "normal/calibration", "normal/test", "anomaly/test"):
        features[f"{part}/labels"] = labels[rows[part]]
    vectors = features["normal/train/features"]
    head, _ = mlp_head.fit(
        torch.from_numpy(vectors),
        torch.from_numpy(features["anomaly/head/features"]),
        generator=generator(),
        **chosen.head.model_dump(),
    )
    gaussians, _ = fit_gaussians(vectors, labels[train], list(names), options=chosen.mahalanobis)
    last = network.arrays()
    members = select_members(
        features,
        list(names),
        weight=last["classifier.weight"],
        bias=last["classifier.bias"],
        candidates=candidates_of(chosen.combined.members, is_frozen=frozen),
        options=chosen.detectors,
        gaussians=chosen.mahalanobis,
        seed=cell.seed,
        retraining=Retraining(training, cell.seed) if frozen else None,
    )
    scores, about = score_parts(
        features,
        list(names),
        gaussians=gaussians,
        head=head.arrays(),
        detectors=fit_detectors(
            features,
            list(names),
            weight=last["classifier.weight"],
            bias=last["classifier.bias"],
            options=chosen.detectors,
            seed=cell.seed,
        ),
        why_no_head=None,
        members=members,
        tail=chosen.combined.tail,
        rule=rule_of(is_frozen=frozen),
        calibration=chosen.calibration,
    )
    known = measure.classification(scores["normal/test/labels"], scores["normal/test/predicted"])
    row: dict[str, Any] = {"pair": cell.pair, "lambda": cell.weight, "seed": cell.seed}
    row |= {
        f"data.{part.replace('/', '_')}": len(rows_of_part) for part, rows_of_part in rows.items()
    }
    row |= {f"classification.{name}": value for name, value in known.items()}
    row["classification.logistic"] = logistic(
        features["normal/train/hidden"], labels[train],
        features["normal/test/hidden"], labels[rows["normal/test"]],
    ) if frozen else None  # fmt: skip
    row["passes"] = len(history)
    for name, kinds in about["thresholds"].items():
        normal = scores[f"normal/test/{name}"]
        sets = {"": "anomaly/test", "third_": "third/test", "far_": "far/test"}
        of = f"detectors.{name}"
        for start_of, part in sets.items():
            if part not in rows:
                continue
            row[f"{of}.{start_of}auroc"] = measure.roc_auc(normal, scores[f"{part}/{name}"])
        row[f"{of}.fpr95"] = measure.fpr95(normal, scores[f"anomaly/test/{name}"])
        row[f"{of}.false_reject"] = measure.rejected(normal, kinds["in_force"])
        row[f"{of}.false_accept"] = 1 - measure.rejected(
            scores[f"anomaly/test/{name}"], kinds["in_force"]
        )
    row["seconds"] = time.perf_counter() - start
    return {key: round(x, 4) if isinstance(x, float) else x for key, x in row.items()}


def logistic(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Return the accuracy of a logistic regression on the backbone's vectors (n, d)."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(model.fit(train, labels).score(test, truth))


def rows_of(cell: Cell, photos: Photos) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the rows of each part of a cell."""
    rng = np.random.default_rng(cell.seed)
    if cell.part == FULL_SIZE:
        yield from _rows_of_full_size(photos.class_names, rng)
        return
    train, held_out = [], []
    for name in PARTS[cell.part]:
        rows_of_class = rng.permutation(
            np.flatnonzero((photos.class_names == name) & ~photos.is_test)
        )
        held_out.append(rows_of_class[:CALIBRATION])
        train.append(rows_of_class[CALIBRATION:])

    def of(names: Sequence[str], *, tests: bool) -> np.ndarray:
        return np.flatnonzero(np.isin(photos.class_names, names) & (photos.is_test == tests))

    anomalies = PARTS[ANOMALIES[cell.part]]
    yield "normal/train", np.sort(np.concatenate(train))
    yield "normal/calibration", np.sort(np.concatenate(held_out))
    yield "normal/test", of(PARTS[cell.part], tests=True)
    yield "anomaly/head", of(anomalies, tests=False)
    yield "anomaly/test", of(anomalies, tests=True)
    yield "third/test", of(PARTS[THIRD[cell.part]], tests=True)
    yield "far/test", of(["far"], tests=True)


def _rows_of_full_size(
    names: np.ndarray, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray]]:
    """Draw the parts; half of the near photos train the supervised head."""
    of_class = [rng.permutation(np.flatnonzero(names == name)) for name in CLOTHES]
    near = rng.permutation(np.flatnonzero(names == NEAR))
    fitted = CALIBRATION + FULL_SIZE_TRAIN
    yield (
        "normal/train",
        np.sort(np.concatenate([rows_of_class[CALIBRATION:fitted] for rows_of_class in of_class])),
    )
    yield (
        "normal/calibration",
        np.sort(np.concatenate([rows_of_class[:CALIBRATION] for rows_of_class in of_class])),
    )
    yield (
        "normal/test",
        np.sort(np.concatenate([rows_of_class[fitted:] for rows_of_class in of_class])),
    )
    yield "anomaly/head", np.sort(near[: len(near) // 2])
    yield "anomaly/test", np.sort(near[len(near) // 2 :])
    yield "far/test", np.flatnonzero(names == FAR)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reproduction.photo_study.study",
        description="Measure the photo half of the paper on CIFAR-10, and full-size photos.",
    )
    parser.add_argument("kind", choices=list(DESIGNS), help="how the backbone is used")
    parser.add_argument(
        "sources", type=Path, nargs="+", help="CIFAR-10 and IDX files; or full-size photos"
    )
    parser.add_argument("table", type=Path, help="a CSV file, to which cells are added")
    parser.add_argument("--seeds", type=count, help="default: 5, 3 fine-tuned")
    parser.add_argument("--jobs", type=count, default=1, help="processes (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
