r"""Compare ways to combine the scores of several detectors, and measure the chosen one.

    python -m reproduction.combination_study data/raw/mnist data/raw/fashion-mnist \
        reports/combined --scores build/combined [--cifar FOLDER]

Each cell trains a network on a pair of data sets with one seed, fits all detectors with the
functions of the pipeline, and scores two kinds of images. The choice depends on training images
only: on synthetic anomalies made from held-out training images, and on classes left out of the
training, in three folds. The test images and the anomalies of the pair measure the chosen way. The
study is not a stage of dvc.yaml: it takes half an hour on one core, and nothing depends on it.
Cells whose scores are in the folder `--scores` are not trained again.

Reads   mnist, fashion  IDX files; cifar: CIFAR-10, a folder for each class below train and test
Writes  folder          combined.csv: the AUROC of each detector and way on each set of each cell;
                        README.md: the page
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from belong.calibration.sample_size import FITTING
from belong.commands.arguments import count
from belong.commands.fit.plan import PHOTO_LAMBDA
from belong.commands.fit.settings import parameters
from belong.data.loader import pack_all
from belong.data.splits import split
from belong.data.synthetic_anomalies import derive
from belong.detectors.registry import DETECTORS
from belong.detectors.score_parts import HELD_OUT
from belong.evaluation.metrics import roc_auc
from belong.models import device
from belong.models.backbones.catalog import backbone_named
from belong.models.feature_cache import users_cache
from belong.models.feature_extraction import embed
from belong.parameters import Parameters
from belong.runtime import portable_math
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.progress import bar
from belong.runtime.storage import load_arrays, load_csv, save_arrays, save_csv, save_text
from belong.runtime.text import say
from reproduction.combination_study.cells import CPU, Images, scores_of
from reproduction.combination_study.page import MODEL, page
from reproduction.combination_study.rules import FROZEN, MEASURED, WHOLE, combine, ways
from reproduction.combination_study.synthetic import synthetic
from reproduction.photo_study.images import Photos, load
from reproduction.photo_study.parts import PARTS
from reproduction.photo_study.study import ABOVE_FROZEN, BACKBONE, Cell, rows_of

PAIRS = ("mnist-fashion-mnist", "digit-0")
LAMBDAS = (1.0, 0.0)
FOLDS = 3  # folds of left-out classes
# Of a class, in a training without some; passes of the classifier and of the autoencoder.
FOLD_IMAGES, FOLD_EPOCHS, FOLD_CODER_EPOCHS = 3000, 6, 8
REST = slice(1, None, 2)  # of the held-out images: those that the p-values are not taken from
PHOTOS_CHANGED = 40  # held-out photos of a cell, of which anomalies are made
TABLE = "combined.csv"

Scores = Mapping[str, np.ndarray]


def main(arguments: Sequence[str]) -> int:
    """Train the missing cells, compare the ways, and write the page; return the exit code."""
    options = _parser().parse_args(arguments)
    interrupted = "interrupted; the scores of the cells that were finished are kept"
    return exit_code_of(lambda: _study(options), say, interrupted=interrupted)


def _study(options: argparse.Namespace) -> int:
    device.compute_repeatably(1, portable_math.current())
    options.scores.mkdir(parents=True, exist_ok=True)
    todo = list(_cells(options))
    tables = []
    with bar(len(todo), "combine", "cell") as progress:
        for names, make in todo:
            kind, pair, lambda_, seed = names
            file = options.scores / f"{kind}_{pair}_{lambda_:g}_{seed}.safetensors"
            if not file.exists():
                save_arrays(file, make())
            facts: dict[str, Any] = {"kind": kind, "pair": pair, "lambda": lambda_, "seed": seed}
            tables.append(
                table_of(load_arrays(file), frozen=pair.startswith("cifar")).assign(**facts)
            )
            save_csv(options.folder / TABLE, pd.concat(tables, ignore_index=True))
            progress.update()
    save_text(options.folder / "README.md", page(load_csv(options.folder / TABLE)))
    return 0


def table_of(scores: Scores, *, frozen: bool) -> pd.DataFrame:
    """Return the AUROC of each detector and each way on each set of anomalies of a cell.

    For synthetic anomalies, the rows are the mean over all kinds, "synthetic", and the worst kind,
    "worst kind". For test images, only the ways of `MEASURED` are included. Columns: `anomalies`,
    `way` (a detector's name, `MODEL` or a `Way`) and `auroc`.
    """
    held_out = {
        name: scores[f"{HELD_OUT}/{name}"] for name in DETECTORS if f"{HELD_OUT}/{name}" in scores
    }
    parts = {key.rpartition("/")[0] for key in scores if key.endswith("/energy")}
    normal = {True: "normal/test", False: HELD_OUT}
    rows: list[tuple[str, str, float]] = []

    def measure(way: str, of_part: Mapping[str, np.ndarray]) -> None:
        for part in sorted(parts - set(normal.values())):
            beside = of_part[normal[part.split("/")[0] not in ("synthetic", "left_out")]]
            rows.append((part, way, roc_auc(beside, of_part[part])))

    def of(name: str, part: str) -> np.ndarray:
        values = scores[f"{part}/{name}"]
        return values[REST] if part == HELD_OUT else values

    for name in held_out:
        measure(name, {part: of(name, part) for part in parts})
    if frozen:  # half of the calibration images set the threshold, and only these are scored
        measure(MODEL, {part: scores[f"{part}/combined"] for part in parts})
    sets = FROZEN if frozen else WHOLE
    for way in ways(sets):
        members = sets[way.members]
        names = sorted(parts)
        combined = combine(
            way.rule,
            [held_out[name][FITTING] for name in members],
            [[of(name, part) for name in members] for part in names],
            tail=way.tail,
        )
        measure(str(way), dict(zip(names, combined, strict=True)))
    table = pd.DataFrame(rows, columns=["anomalies", "way", "auroc"])
    is_made = table["anomalies"].str.startswith("synthetic/")
    is_test = ~is_made & (table["anomalies"] != "left_out")
    is_left_out = table["way"].isin({str(way) for way in ways(sets)} - set(map(str, MEASURED)))
    of_way = table[is_made].groupby("way", sort=False)["auroc"]
    summary = [
        numbers.rename("auroc").reset_index().assign(anomalies=name)
        for name, numbers in (("synthetic", of_way.mean()), ("worst kind", of_way.min()))
    ]
    single_rows = table[~is_made & ~(is_test & is_left_out)]
    return pd.concat([single_rows, *summary], ignore_index=True).round({"auroc": 6})


# --- the cells ----------------------------------------------------------------------------------

Names = tuple[str, str, float, int]  # kind, pair, lambda, seed


def _cells(options: argparse.Namespace) -> Iterator[tuple[Names, Callable[[], Scores]]]:
    """Yield the names of each cell, and the function that computes its scores."""
    for lambda_ in LAMBDAS:
        for seed in range(options.seeds if lambda_ else options.seeds_without):
            for pair in PAIRS:
                yield ("whole", pair, lambda_, seed), partial(_digits, options, pair, lambda_, seed)
    for pair in PAIRS:
        for fold in range(FOLDS):
            yield ("left_out", pair, 1.0, fold), partial(_fold, options, pair, fold)
    if options.cifar:
        photos = cache(lambda: _loaded(options.cifar, options.fashion))
        for seed in range(options.seeds):
            for part in PARTS:
                name = f"cifar10-{part}"
                yield ("frozen", name, PHOTO_LAMBDA, seed), partial(_photos, photos, part, seed)
        for part, names in PARTS.items():
            for fold in range(len(names)):
                name = f"cifar10-{part}"
                yield (
                    ("left_out", name, PHOTO_LAMBDA, fold),
                    partial(_photos, photos, part, 0, fold),
                )


def _values(
    options: argparse.Namespace,
    pair: str,
    lambda_: float,
    seed: int,
    settings: Mapping[str, object] | None = None,
) -> Parameters:
    near = pair == "digit-0"
    return parameters(
        {
            "normal.path": str(options.mnist),
            "normal.classes": "1-9" if near else "all",
            "anomaly.path": str(options.mnist if near else options.fashion),
            "anomaly.classes": 0 if near else "all",
            "unseen.path": str(options.fashion),
            "lambda": lambda_,
            "seed": seed,
            **(settings or {}),
        }
    )


def _images(values: Parameters) -> Images:
    """Return the images of a pair, as the pipeline divides them."""
    choices = {"normal": values.normal, "anomaly": values.anomaly, "unseen": values.unseen}
    packs = pack_all([one.path for one in choices.values()], options=values.images)
    divided = split(
        {path: packed.data for path, packed in packs.items()},
        choices,
        options=values.split,
        alpha=values.calibration.alpha,
        seed=values.seed,
    )
    of_kind: dict[str, dict[str, np.ndarray]] = {"images": {}, "labels": {}}
    for key, array in divided.arrays.items():
        part, _, kind = key.rpartition("/")
        of_kind[kind][part] = array
    pixels = of_kind["images"]
    return Images(pixels, pixels, of_kind["labels"], divided.class_names)


def _digits(options: argparse.Namespace, pair: str, lambda_: float, seed: int) -> Scores:
    values = _values(options, pair, lambda_, seed)
    images = _images(values)
    pixels = dict(images.pixels)
    pixels |= derive(pixels["normal/test"], most=values.derive.images, seed=seed)
    held_out, labels = pixels[HELD_OUT][REST], images.labels[HELD_OUT][REST]
    pixels |= synthetic(held_out, labels, seed=seed)
    return scores_of(replace(images, pixels=pixels, inputs=pixels), values, seed=seed)


def _fold(options: argparse.Namespace, pair: str, fold: int) -> Scores:
    settings: dict[str, object] = {
        "train.epochs": FOLD_EPOCHS,
        "autoencoder.epochs": FOLD_CODER_EPOCHS,
    }
    values = _values(options, pair, 1.0, 0, settings)
    images = _images(values)
    classes = np.array_split(np.arange(len(images.class_names)), FOLDS)[fold]
    return scores_of(images.without(classes, FOLD_IMAGES), values, seed=0)


def _loaded(cifar: Path, fashion: Path) -> tuple[Photos, np.ndarray]:
    """Return the photos, and their backbone vectors (n, v)."""
    photos = load(cifar, fashion, side_px=224)
    return photos, _embedded(photos.images)


def _photos(
    photos: Callable[[], tuple[Photos, np.ndarray]], part: str, seed: int, fold: int | None = None
) -> Scores:
    values = parameters({**ABOVE_FROZEN, "lambda": PHOTO_LAMBDA, "seed": seed})
    (every, vectors), names = photos(), PARTS[part]
    rows = dict(rows_of(Cell(part, PHOTO_LAMBDA, seed), every))
    labels = np.array([names.index(x) if x in names else -1 for x in every.class_names])
    pixels = {name: every.small[places] for name, places in rows.items()}
    inputs = {name: vectors[places] for name, places in rows.items()}
    known = {
        name: labels[rows[name]] for name in rows if name.endswith(("train", "calibration", "test"))
    }
    images = Images(pixels, inputs, known, names)
    backbone = backbone_named(BACKBONE)
    if fold is not None:
        return scores_of(images.without([fold], len(labels)), values, seed=seed, backbone=backbone)
    held_out = rows[HELD_OUT][REST]
    sample = held_out[np.linspace(0, len(held_out) - 1, PHOTOS_CHANGED).astype(int)]
    pixels |= synthetic(every.small[sample], labels[sample], seed=seed)
    large = synthetic(every.images[sample], labels[sample], seed=seed)
    inputs |= {name: _embedded(changed) for name, changed in large.items()}
    return scores_of(images, values, seed=seed, backbone=backbone)


def _embedded(images: np.ndarray) -> np.ndarray:
    backbone, tensor = backbone_named(BACKBONE), torch.from_numpy(images)
    return embed(backbone, tensor, device=CPU, cache=users_cache(), jobs=1).numpy()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reproduction.combination_study",
        description="Compare ways to make one score of several detectors.",
    )
    parser.add_argument("mnist", type=Path, help="IDX files of the digits")
    parser.add_argument("fashion", type=Path, help="IDX files of the clothes")
    parser.add_argument("folder", type=Path, help="for the table and the page")
    parser.add_argument("--scores", type=Path, required=True, help="folder for the cells' scores")
    parser.add_argument("--cifar", type=Path, help="CIFAR-10, train and test (default: none)")
    parser.add_argument("--seeds", type=count, default=5, help="at lambda 1 (default: 5)")
    parser.add_argument("--seeds-without", type=count, default=2, help="at lambda 0 (default: 2)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
