"""The files with the verdicts: a row for each image, those that cannot be read, and the counts."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from belong.calibration.conformal import promised_range
from belong.prediction.manifest import Manifest
from belong.prediction.predictions import COLUMNS, Predictions
from belong.runtime.errors import InputError
from belong.runtime.storage import read_bytes, save_rows, whole_file
from belong.runtime.text import in_table, printable
from belong.runtime.unfinished import is_unfinished

PREDICTIONS, UNREADABLE, SUMMARY = "predictions.csv", "unreadable.csv", "summary.json"
IGNORED = "ignored.csv"
Rows = Sequence[Sequence[str]]


def rows_of(predictions: Predictions) -> list[list[str]]:
    """Return a row of COLUMNS for each image, numbers with six digits."""
    return [
        [f"{x:.6g}" if isinstance(x, float) else str(x) for x in prediction[: len(COLUMNS)]]
        for prediction in predictions
    ]


def save_tables(out: Path, pieces: Iterable[tuple[Rows, Rows]]) -> Counter[tuple[str, bool]]:
    """Write predictions.csv and unreadable.csv into `out`; of both, all rows or no file.

    A piece is rows of COLUMNS, and of (path, reason). Returns (class, belongs) -> number of images.
    """
    counts: Counter[tuple[str, bool]] = Counter()
    with (
        whole_file(out / PREDICTIONS) as read_part,
        whole_file(out / UNREADABLE) as unread_part,
        read_part.open("w", encoding="utf-8", newline="") as read_file,
        unread_part.open("w", encoding="utf-8", newline="") as unread_file,
    ):
        save_rows(read_file, [COLUMNS])
        save_rows(unread_file, [("path", "reason")])
        for rows, bad in pieces:
            save_rows(read_file, rows)
            save_rows(unread_file, bad)
            counts.update((row[1], row[3] == "True") for row in rows)
            counts.update(("", False) for _ in bad)
    return counts


def save_ignored(out: Path, ignored: Iterable[tuple[str, str]]) -> None:
    """Write ignored.csv into `out`: (path, reason) of what was passed over."""
    with whole_file(out / IGNORED) as part, part.open("w", encoding="utf-8", newline="") as file:
        save_rows(file, [("path", "reason")])
        save_rows(file, ((in_table(path), reason) for path, reason in ignored))


def summary_of(counts: Counter[tuple[str, bool]], manifest: Manifest) -> dict[str, Any]:
    """Return what is to be said of all images together.

    The counts are those of `save_tables`. Returns `images`, `belongs`, `rejected`, `unreadable`;
    `rejected_share`, and `promised`: the range that holds it in 95 of 100 cases if all images
    belong; `classes`; `model`, with its grades and verdict.
    """
    unreadable, own = counts["", False], manifest.assessment
    of_class = {
        name: {"belongs": counts[name, True], "rejected": counts[name, False]}
        for name in manifest.class_names
    }
    belongs = sum(one["belongs"] for one in of_class.values())
    rejected = sum(one["rejected"] for one in of_class.values())
    images, alpha, n = belongs + rejected, manifest.alpha, manifest.n_calibration
    share = promised = None
    if images:
        share = round(rejected / images, 6)
        low, high = promised_range(n, images, alpha=alpha)
        promised = {"alpha": alpha, "low": round(low, 6), "high": round(high, 6)}
    return {
        "images": images,
        "belongs": belongs,
        "rejected": rejected,
        "unreadable": unreadable,
        "rejected_share": share,
        "promised": promised,
        "classes": of_class,
        "model": {
            "detector": manifest.detector,
            "network": manifest.network,
            "manifest_sha256": manifest.digest,
            "grade": {"classifier": own.classifier.level, "judge": own.judge.level},
            "verdict": own.verdict,
        },
    }


def check_outside(out: Path, images: str) -> None:
    """Refuse results among the images: the next run would look through them too.

    `images` is the folder of the images, or empty if they are given one by one.

    Raises:
        InputError: one is in the other, or is it.
    """
    if not images:
        return
    to, source = out.resolve(), Path(images).resolve()
    if to == source or source in to.parents:
        where = "is" if to == source else "is in"
        raise InputError(
            f"{printable(out)}: {where} the folder of the images, {printable(images)}, where the "
            f"next run would look for images; expected a folder outside"
        )


def run_of(source: str, model: str) -> str:
    """Return what stands for a run in its folder: see `check_free` for the two."""
    return json.dumps({"source": source, "model": model})


def check_free(out: Path, source: str, model: str) -> None:
    """Refuse a folder that holds the results of other images, or of another model.

    `source` is what the images are called in its summary.json, `model` the manifest's digest.

    Raises:
        InputError: names the first file that would be lost.
    """
    names = (PREDICTIONS, UNREADABLE, IGNORED, SUMMARY)
    there = [name for name in names if os.path.lexists(out / name)]
    try:
        before = json.loads(read_bytes(out / SUMMARY))
        is_own = (before["source"], before["model"]["manifest_sha256"]) == (source, model)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        is_own = False
    is_own = is_own or is_unfinished(out, run_of(source, model))
    if there and not is_own:
        raise InputError(
            f"{printable(out)}: has the {there[0]} of other images or of another model; expected "
            f"another folder, or --overwrite"
        )
