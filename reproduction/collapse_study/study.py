r"""Train from scratch on small folders many times, and count the collapsed networks.

    python -m reproduction.collapse_study.study reports/photos mnist=data/raw/mnist \
        fashion-mnist=data/raw/fashion-mnist cifar10=FOLDER rooms=FOLDER objects=FOLDER

Each folder is planned, packed, divided and trained on by the functions that `belong fit` calls,
with its defaults and --from-scratch. The network is measured on up to 100 fresh images of each
class that are not in the folder. The study is not a stage of dvc.yaml: it takes half an hour on one
core, and nothing depends on it. `rooms` and `objects` are any photos, in a folder for each class; a
folder whose source is missing is skipped. Trainings that are already in collapse.csv are not
repeated.

Reads   NAME=FOLDER  IDX files, or a folder of images for each class
Writes  folder       collapse.csv: a row for each folder and seed; collapse.md: the page
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from belong.commands.arguments import count
from belong.commands.fit.backbone_request import BackboneRequest
from belong.commands.fit.fit import prepare
from belong.data.image_form import rgb_of
from belong.data.loader import look, pack, pack_all
from belong.data.splits import split
from belong.models import device as devices
from belong.models.chance_level import is_at_chance
from belong.models.checkpoint import Checkpoint
from belong.models.learning_check import predict
from belong.models.network_choice import kind_of
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.parameters import Parameters
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.parallel import in_order
from belong.runtime.storage import load_csv, save_csv, save_text
from belong.runtime.text import say
from reproduction.collapse_study.folders import FOLDERS, SmallFolder, Source, write
from reproduction.collapse_study.page import page

SEEDS, ALPHA = 10, 0.1  # alpha: 3 x 60 images are too few for the 2.5% of the default

TABLE = "collapse.csv"

Row = dict[str, object]


def main(arguments: Sequence[str]) -> int:
    """Draw the folders, train, and count the collapsed networks; return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(
        lambda: _study(options), say, interrupted="interrupted; the finished trainings are written"
    )


def _study(options: argparse.Namespace) -> int:
    paths = dict(options.sources)
    folders = [folder for folder in FOLDERS if folder.source in paths]
    if not folders:
        raise InputError(f"no folder is drawn from {', '.join(paths)}; see FOLDERS in folders.py")
    sources = {name: look(path) for name, path in paths.items()}
    todo = [(folder, seed) for seed in range(options.seeds) for folder in folders]
    settings: dict[str, object] = {"train.epochs": options.epochs} if options.epochs else {}
    rows = _rows(options.folder / TABLE)
    finished = {(row["folder"], row["seed"]) for row in rows}
    todo = [one for one in todo if (one[0].name, one[1]) not in finished]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        trainings = in_order(
            lambda one: pool.submit(trained_on, sources, *one, settings), todo, ahead=options.jobs
        )
        for _, future in trainings:
            rows.append(future.result())
            save_csv(options.folder / TABLE, pd.DataFrame(rows))
            save_text(options.folder / "collapse.md", page(load_csv(options.folder / TABLE)))
    return 0


def _rows(path: Path) -> list[Row]:
    """Return the rows of an earlier run."""
    if not path.exists():
        return []
    return [
        {str(name): value for name, value in row.items()}
        for row in load_csv(path).to_dict("records")
    ]


def trained_on(
    sources: Mapping[str, Source],
    folder: SmallFolder,
    seed: int,
    further_settings: Mapping[str, object],
) -> Row:
    """Draw a folder and train on it as `belong fit` does; return the row of the table.

    `further_settings` are settings of params.yaml, by dotted key.
    """
    with tempfile.TemporaryDirectory() as work:
        images, fresh = Path(work, "images"), Path(work, "fresh")
        write(folder, sources, images, fresh, np.random.default_rng(seed))
        settings = {"seed": seed, "threads": 1, **further_settings}
        request = BackboneRequest(from_scratch=True)
        job = prepare(images, alpha=ALPHA, request=request, settings=settings)
        row: Row = {
            "folder": folder.name,
            "seed": seed,
            "classes": len(job.plan.classes),
            "images": job.plan.train_images,
            "network": job.plan.network,
        }
        return row | _outcome(job.values, fresh, Path(work, "checkpoint"))


def _outcome(values: Parameters, fresh: Path, checkpoint: Path) -> Row:
    """Train with a job's parameters, and measure the network on fresh images."""
    devices.compute_repeatably(values.threads, values.math)
    packs = pack_all([values.normal.path], options=values.images)
    divided = split(
        {path: packed.data for path, packed in packs.items()},
        {"normal": values.normal, "anomaly": values.anomaly, "unseen": values.unseen},
        options=values.split,
        alpha=values.calibration.alpha,
        seed=values.seed,
    )
    parts = {name: torch.from_numpy(np.array(array)) for name, array in divided.arrays.items()}
    inputs, labels = parts["normal/train/images"], parts["normal/train/labels"]
    attempts = Checkpoint(checkpoint, "")
    try:
        network, history = fit_classifier(
            inputs,
            labels,
            (parts["normal/calibration/images"], parts["normal/calibration/labels"]),
            network=kind_of(values.network, values.backbone),
            classes=len(divided.class_names),
            options=TrainingOptions(lambda_=values.lambda_, **values.train.model_dump()),
            generator=torch.Generator().manual_seed(values.seed),
            device=torch.device("cpu"),
            checkpoint=attempts,
        )
    except InputError as error:
        return {"attempts": attempts.attempt + 1, "refused": str(error)}
    measured = pack(
        look(fresh),
        packs[values.normal.path].form,
        background=rgb_of(values.images.background),
        max_pixels=values.images.max_pixels,
    ).data
    _, predictions = predict(network, torch.from_numpy(measured.images))
    truth = torch.from_numpy(measured.labels)
    return {
        "attempts": attempts.attempt + 1,
        "refused": "",
        "train_accuracy": history[-1]["accuracy"],
        "fresh": len(truth),
        "accuracy": (predictions == truth).double().mean().item(),
        "guessing": truth.bincount().max().item() / len(truth),
        "at_chance": is_at_chance(predictions, truth),
    }


def _source(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    known = sorted({folder.source for folder in FOLDERS})
    if not equals or name not in known:
        raise argparse.ArgumentTypeError(
            f"expected NAME=FOLDER with one of the names {', '.join(known)}, got {text!r}"
        )
    return name, Path(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reproduction.collapse_study.study",
        description="Count trainings that collapse.",
    )
    parser.add_argument("folder", type=Path, help="for collapse.csv and collapse.md")
    parser.add_argument("sources", type=_source, nargs="+", metavar="NAME=FOLDER", help="data sets")
    parser.add_argument("--seeds", type=count, default=SEEDS, help=f"default: {SEEDS}")
    parser.add_argument("--epochs", type=count, help="passes (default: as `belong fit` plans them)")
    parser.add_argument("--jobs", type=count, default=1, help="processes (default: 1)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
