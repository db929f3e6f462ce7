r"""Compare `belong clean` with cleanlab on photos with planted errors.

    python -m reproduction.clean_study.study reports/photos cifar10=data/raw/cifar10/train \
        clothing=data/photos/clothing

`clothing` is the folder of `reproduction.photo_study.fetch`. Each seed draws other photos, swaps
the labels of some photos and adds foreign photos. A constant of the rule for foreign images was
raised after draws 0 to 2 had been seen: draw 0 is left out, draws 1 and 2 are not blind, the later
draws are. cleanlab, from the extra `bench`, gets the same out-of-fold probabilities and the same
vectors. The study is not a stage of dvc.yaml: it takes half an hour on one core. Draws that are
already in cleaning.csv are not repeated.

Reads   NAME=FOLDER  photos
Writes  folder       cleaning.csv: a row for each draw and method; cleaning.md: the page
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from belong.commands.arguments import count
from belong.commands.clean.folder_judgment import (
    FolderJudgment,
    judge_folder,
    look_at_files,
    prepare,
)
from belong.commands.clean.options import CleanOptions
from belong.evaluation.metrics import roc_auc
from belong.models import device as devices
from belong.runtime import portable_math
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.progress import bar
from belong.runtime.storage import load_csv, save_csv, save_text
from belong.runtime.text import say
from reproduction.clean_study.page import page
from reproduction.clean_study.peer import opinion
from reproduction.clean_study.planted_errors import Row, Spoiled, counted_of, plant
from reproduction.photo_study.parts import CLOTHES, FAR, NEAR, NORMAL

SEEDS, PLANTED = 5, 40
TABLE, PAGE = "cleaning.csv", "cleaning.md"
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer")
CIFAR10_FOREIGN = ("dog", "frog", "horse", "ship", "truck")
OURS, PEER = "belong", "cleanlab"


def main(arguments: Sequence[str]) -> int:
    """Plant errors, run both methods, and count the detections; return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(
        lambda: _study(options), say, interrupted="interrupted; the finished draws are written"
    )


def _study(options: argparse.Namespace) -> int:
    designs = [one for name, path in options.sources for one in spoiled_folders(name, path)]
    table = options.folder / TABLE
    rows: list[Row] = []
    if table.exists():
        rows = [{str(k): v for k, v in row.items()} for row in load_csv(table).to_dict("records")]
    known = {(row["photos"], row["foreign_kind"], row["seed"]) for row in rows}
    todo = [
        (one, seed)
        for seed in range(1, options.seeds + 1)
        for one in designs
        if (one.name, one.foreign, seed) not in known
    ]
    devices.compute_repeatably(1, portable_math.current())
    with bar(len(todo), "clean", "folder") as progress:
        for one, seed in todo:
            rows += measured(one, seed)
            ordered = pd.DataFrame(rows).sort_values(
                ["photos", "foreign_kind", "seed", "method"], kind="stable"
            )
            save_csv(table, ordered)
            save_text(options.folder / PAGE, page(load_csv(table)))
            progress.update()
    return 0


def spoiled_folders(name: str, path: Path) -> Iterator[Spoiled]:
    """Yield the folders drawn from a source: 1,350 photos, with 40 errors of each kind."""
    if name == "cifar10":
        classes, others = ([path / one for one in names] for names in (CIFAR10, CIFAR10_FOREIGN))
        yield Spoiled(name, "the other five classes", classes, 270, others, PLANTED)
        return
    classes = [path / NORMAL / one for one in CLOTHES]
    yield Spoiled(name, "other clothes", classes, 450, [path / NEAR], PLANTED)
    yield Spoiled(name, "groceries", classes, 450, [path / FAR], PLANTED)


def measured(spoiled: Spoiled, seed: int) -> list[Row]:
    """Plant errors in a folder, judge it, and return a row for each method."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "photos")
        wrong = plant(spoiled, folder, np.random.default_rng(seed))
        start = time.process_time()
        settings = {"seed": seed, "threads": 1, "math": portable_math.current()}
        job = prepare(folder, CleanOptions(settings=settings))
        if job.backbone is None:
            raise InputError(f"{spoiled.name}: no pretrained backbone, expected one for photos")
        result = judge_folder(job, look_at_files(job))
        seconds = time.process_time() - start
    about: Row = {
        "photos": spoiled.name,
        "foreign_kind": spoiled.foreign,
        "seed": seed,
        "images": len(result.table),
        "swapped": sum(kind == "swapped" for kind in wrong.values()),
        "foreign": sum(kind == "foreign" for kind in wrong.values()),
        "accuracy": result.judgment.reliability["accuracy"],
    }
    last = job.backbone.card.sizes[-1]
    named = {OURS: _ours(result, wrong), PEER: _peer(result, wrong, last)}
    return [
        about | {"method": method} | row | {"cpu_seconds": seconds if method == OURS else None}
        for method, row in named.items()
    ]


def _ours(result: FolderJudgment, wrong: dict[str, str]) -> Row:
    manifest, known = result.manifest(), result.judgment.evidence
    if known is None:
        raise InputError("no classifier could be fitted")
    is_named = (manifest["verdict"] == "quarantine") & manifest["problem"].isin(
        ["wrong_class", "foreign"]
    )
    doubt, oddness = (1 - known[f"p_{name}"].to_numpy() for name in ("wrong_class", "foreign"))
    named = set(manifest.loc[is_named, "path"])
    return counted_of(named, wrong) | _aurocs(result, wrong, doubt, oddness)


def _peer(result: FolderJudgment, wrong: dict[str, str], last: int) -> Row:
    vectors = result.images.inputs[:, -last:].numpy()
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    probabilities = result.judgment.probabilities
    if probabilities is None:
        raise InputError("no classifier could be fitted")
    verdicts = opinion(probabilities, result.images.labels.numpy(), directions)
    paths = result.table["path"].to_numpy()[result.rows]
    named = set(paths[verdicts.is_named].tolist())
    return counted_of(named, wrong) | _aurocs(result, wrong, verdicts.doubt, verdicts.oddness)


def _aurocs(
    result: FolderJudgment, wrong: dict[str, str], doubt: np.ndarray, oddness: np.ndarray
) -> Row:
    """Return the AUROCs of two scores (n,) of the n judged images for the planted errors."""
    kinds = np.array([wrong.get(path, "") for path in result.table["path"].iloc[result.rows]])
    return {
        "swapped_auroc": roc_auc(doubt[kinds == ""], doubt[kinds == "swapped"]),
        "foreign_auroc": roc_auc(oddness[kinds == ""], oddness[kinds == "foreign"]),
    }


def _source(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not equals or name not in ("cifar10", "clothing"):
        raise argparse.ArgumentTypeError(
            f"expected NAME=FOLDER with one of the names cifar10, clothing, got {text!r}"
        )
    return name, Path(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reproduction.clean_study.study",
        description="Measure what belong clean finds of planted photos, beside cleanlab.",
    )
    parser.add_argument("folder", type=Path, help="for cleaning.csv and cleaning.md")
    parser.add_argument("sources", type=_source, nargs="+", metavar="NAME=FOLDER", help="photos")
    parser.add_argument("--seeds", type=count, default=SEEDS, help=f"default: {SEEDS}")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
