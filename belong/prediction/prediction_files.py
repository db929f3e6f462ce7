"""Write predictions.csv, unreadable.csv, ignored.csv and the counts of summary.json."""

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
    """Return a row of COLUMNS for each image; numbers have six significant digits."""
    return [
        [f"{x:.6g}" if isinstance(x, float) else str(x) for x in prediction[: len(COLUMNS)]]
        for prediction in predictions
    ]


def save_tables(out: Path, pieces: Iterable[tuple[Rows, Rows]]) -> Counter[tuple[str, bool]]:
    """Write predictions.csv and unreadable.csv to `out`, both complete or neither.

    Args:
        out: the output folder.
        pieces: pairs of rows of COLUMNS and rows of (path, reason).

    Returns:
        (class, belongs) -> number of images.
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
    """Write ignored.csv to `out`: (path, reason) of ignored files."""
    with whole_file(out / IGNORED) as part, part.open("w", encoding="utf-8", newline="") as file:
        save_rows(file, [("path", "reason")])
        save_rows(file, ((in_table(path), reason) for path, reason in ignored))


def summary_of(counts: Counter[tuple[str, bool]], manifest: Manifest) -> dict[str, Any]:
    """Return the content of summary.json.

    Args:
        counts: the counts of `save_tables`.
        manifest: the manifest of the model.

    Returns:
        `images`, `belongs`, `rejected`, `unreadable`; `rejected_share`, and `promised`, its range
        in 95 of 100 cases if all images belong; `classes`; `model`, with its grades and verdict.
    """
    unreadable, assessment = counts["", False], manifest.assessment
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
            "grade": {
                "classifier": assessment.classifier and assessment.classifier.level,
                "judge": assessment.judge.level,
            },
            "verdict": assessment.verdict,
        },
    }


def check_outside(out: Path, images: str) -> None:
    """Refuse an output in the folder of the images, where the next run would search it.

    Args:
        out: the output folder.
        images: the folder of the images, or "" for a list of images.

    Raises:
        InputError: the output is the folder of the images, or inside of it.
    """
    if not images:
        return
    to, source = out.resolve(), Path(images).resolve()
    if to == source or source in to.parents:
        raise InputError(
            f"{printable(out)}: expected an output outside of the folder of the images, "
            f"{printable(images)}, which the next run would search for images"
        )


def run_of(source: str, model: str) -> str:
    """Return the identifier of a run; see `check_free` for the arguments."""
    return json.dumps({"source": source, "model": model})


def check_free(out: Path, source: str, model: str) -> None:
    """Refuse a folder that holds the results of other images, or of another model.

    Args:
        out: the output folder.
        source: the name of the images in summary.json.
        model: the digest of the model's manifest.

    Raises:
        InputError: the message names the first file that would be overwritten.
    """
    names = (PREDICTIONS, UNREADABLE, IGNORED, SUMMARY)
    existing = [name for name in names if os.path.lexists(out / name)]
    try:
        before = json.loads(read_bytes(out / SUMMARY))
        is_own = (before["source"], before["model"]["manifest_sha256"]) == (source, model)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        is_own = False
    is_own = is_own or is_unfinished(out, run_of(source, model))
    if existing and not is_own:
        raise InputError(
            f"{printable(out)}: has the {existing[0]} of other images or of another model; "
            f"expected another folder, or --overwrite"
        )
