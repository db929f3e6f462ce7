"""List all rows in the order of the table: name -> the function that prepares it.

Those of LONG take more than a few minutes together and run when asked for, by name or `--long`.
"""

from importlib import import_module
from typing import Any

from benchmarks.contract import Growth, Prepare, Race, Setting
from benchmarks.rows import starting


def row(module: str, function: str, **arguments: Any) -> Prepare:
    """Return a function that prepares a row; the row's imports happen in that call.

    Each is measured alone once, in a process of its own: with all that all rows import, 5 seconds
    would pass before each.
    """

    def prepare(setting: Setting) -> Race | Growth:
        measurement: Race | Growth = getattr(import_module(f"benchmarks.rows.{module}"), function)(
            setting, **arguments
        )
        return measurement

    return prepare


SHORT: dict[str, Prepare] = {
    "train-epoch": row("training", "epoch"),
    "decode-photos": row("decoding", "photos"),
    "features": row("features", "of_digits"),
    "embed-lite0": row("embedding", "lite0", dtype="float32"),
    "embed-lite0-bfloat16": row("embedding", "lite0", dtype="bfloat16"),
    "embed-b0": row("embedding", "b0"),
    "mahalanobis-fit-84": row("mahalanobis", "fitting", n=70_000, d=84),
    "mahalanobis-fit-1280": row("mahalanobis", "fitting", n=10_000, d=1280, part=0.1),
    "mahalanobis-score-84": row("mahalanobis", "scoring", n=70_000, d=84, loop=1000),
    "mahalanobis-score-1280": row("mahalanobis", "scoring", n=10_000, d=1280, loop=50, part=0.1),
    "knn-50": row("neighbors", "knn", d=50, k=5),
    "knn-84": row("neighbors", "knn", d=84, k=50),
    "isolation-forest": row("isolation", "fit_and_score", n=60_000, d=50, trees=2000),
    "score-folder": row("scoring", "folder"),
    "score-photos": row("scoring", "photos", n=6_000, width=500, distinct=600),
    "start-help": row("starting", "help_text"),
    "growth-score": row("scoring", "growth"),
    "growth-fit": row("mahalanobis", "growth"),
}
LONG: dict[str, Prepare] = {
    "score-camera": row("scoring", "photos", n=300, width=4000, distinct=20),
    "dvc-repro": row("pipeline", "whole"),
    "dvc-nothing": row("pipeline", "nothing_to_do"),
    **starting.all_stages(),
}
ROWS = SHORT | LONG
