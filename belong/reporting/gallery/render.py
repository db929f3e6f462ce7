"""Render the images of a folder with their verdicts as one page.

Paths and names of classes are whatever somebody called a file. The template escapes every value,
what the script reads is JSON without a `<`, the script writes text and never HTML, and the page's
own policy allows the browser that one script, and no request.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from belong.reporting.gallery.selection import shares
from belong.reporting.gallery.sprite_sheets import Shown, photo_uri, sheets
from belong.reporting.histogram_bins import score_edges
from belong.reporting.templates import render_page
from belong.runtime.text import exact, printable

STYLES = ("reporting/report/family.css", "reporting/gallery/gallery.css")
SCRIPTS = (
    "reporting/report/charts.js",
    "reporting/gallery/text.js",
    "reporting/gallery/view.js",
    "reporting/gallery/alpha.js",
    "reporting/gallery/pictures.js",
    "reporting/gallery/histogram.js",
    "reporting/gallery/tiles.js",
    "reporting/gallery/panel.js",
    "reporting/gallery/paths.js",
    "reporting/gallery/review.js",
    "reporting/gallery/gallery.js",
)

TEXTS = ("path", "class", "nearest_class", "detector", "reason")
NUMBERS = ("probability", "p_value", "score", "distance")
COLUMNS = (*TEXTS, *NUMBERS, "belongs")
BINS = 60

LEAST_HALF = 20_000  # calibration images, of whose scores the page holds the larger half


@dataclass(frozen=True)
class Review:
    """What a page needs for another alpha, and for a person's answers.

    Attributes:
        model: the SHA-256 of the manifest.
        source: the folder of the images, as it was named to `belong score`.
        class_names: c.
        files: (n,) the exact path of each row's image: what is shown of it may be shared by others.
        alpha: of the verdicts; None: the threshold is not calibrated, and alpha cannot be moved.
        calibration: (m,) scores of the calibration images.
        command: scores the same images again, but for `--alpha`.
    """

    model: str
    source: str
    class_names: Sequence[str]
    files: Sequence[str]
    alpha: float | None
    calibration: np.ndarray
    command: str


# Of an image: (place of a training image, distance to it), the nearest first.
Nearest = Sequence[tuple[int, float]]


def gallery_page(
    rows: pd.DataFrame,
    pictures: Mapping[int, Shown],
    nearest: Mapping[int, Nearest],
    training_pictures: Mapping[int, Shown] | np.ndarray,
    training_classes: Sequence[str],
    *,
    title: str,
    threshold: float,
    facts: Mapping[str, str],
    review: Review | None = None,
) -> str:
    """Return the page: HTML that needs no other file and no network.

    Its images come with the highest score first, so that what is looked at first shares few sheets
    of pictures.

    Args:
        rows: one for each of the n images, with the columns of predictions.csv: `path`, `class`,
            `probability`, `belongs`, `p_value`, `score`, `nearest_class`, `distance`, `detector`,
            `reason`. All but `path`, `belongs` and `score` may be missing in a row.
        pictures: place in `rows` -> a JPEG, or (ch, h, w) uint8, all of one shape: the images that
            the page holds. `selection.telling` chooses them, `sprite_sheets.shown` makes them.
        nearest: place in `rows` -> its nearest training images; it may lack some or all.
        training_pictures: place -> the same; only those that are near an image go into the page.
        training_classes: their classes, by the same places.
        title: the heading: what was scored.
        threshold: the score up to which an image belongs.
        facts: label -> value, what else is to be said of the run; a count of the images and of
            those rejected is always there.
        review: for another alpha, and a person's answers; None: the page has neither.

    Raises:
        ValueError: a column is missing, a score is not a finite number, or shapes differ.
    """
    _check(rows)
    rows = rows.reset_index(drop=True)
    held = rows.loc[sorted(pictures)].sort_values("score", ascending=False, kind="stable")
    close = [nearest.get(row, ()) for row in held.index]
    used = sorted({place for one in close for place, _ in one})
    at = {place: number for number, place in enumerate(used)}
    texts = {
        name: [None if pd.isna(value) else printable(str(value)) for value in held[name]]
        for name in TEXTS
    }
    data: dict[str, Any] = {
        "images": {
            "row": held.index.tolist(),
            "belongs": held["belongs"].astype(bool).tolist(),
            "nearest": [[[at[place], _rounded(d)] for place, d in one] for one in close],
            **texts,
            **{name: [_rounded(value) for value in held[name]] for name in NUMBERS},
        },
        "pictures": _pictures([pictures[row] for row in held.index]),
        "training": {
            "class": [printable(training_classes[place]) for place in used],
            "pictures": _pictures([training_pictures[place] for place in used]),
        },
        "threshold": threshold,
        "histogram": histogram(rows["score"].to_numpy(), threshold),
        "review": None if review is None else _review(review, rows),
    }
    if review is not None:
        places = {name: place for place, name in enumerate(review.class_names)}
        files = [exact(review.files[row]) for row in held.index]
        data["images"] |= {
            "label": [places.get(name) for name in held["class"]],
            "file": [
                None if file == path else file
                for file, path in zip(files, texts["path"], strict=True)
            ],
        }
    return render_page(
        "reporting/gallery/gallery.html",
        styles=STYLES,
        scripts=SCRIPTS,
        title=printable(title),
        facts=facts,
        threshold=threshold,
        total=len(rows),
        rejected=int((~rows["belongs"].astype(bool)).sum()),
        held=len(pictures),
        shares=shares(len(pictures)),
        data=data,
    )


def _review(review: Review, rows: pd.DataFrame) -> dict[str, Any]:
    """Return what the script needs, and the number of images with each p-value up to one half."""
    fields, n = vars(review), len(review.calibration)
    kept = {key: fields[key] for key in ("model", "source")} | {
        "class_names": [*review.class_names]
    }
    if review.alpha is None:
        return kept | {"calibrated": None}
    ranks = np.rint(rows["p_value"].to_numpy() * (n + 1)).astype(int)
    distinct, counts = np.unique(ranks[ranks <= (n + 1) // 2], return_counts=True)
    largest = np.sort(review.calibration)[::-1][: (n + 1) // 2 if n <= LEAST_HALF else 0]
    return kept | {
        "calibrated": {
            "alpha": review.alpha,
            "images": n,
            "thresholds": [_rounded(float(score)) for score in largest],
            "ranks": np.stack([distinct, counts], axis=1).tolist(),
            "scored": len(rows),
            "rejected": int((~rows["belongs"].astype(bool)).sum()),
            "command": review.command,
        }
    }


def _pictures(pictures: Sequence[Shown]) -> dict[str, Any]:
    """Return the sheets of the small pictures, and for each picture its photo or place on them."""
    small = [one for one in pictures if not isinstance(one, bytes)]
    values = vars(sheets(small)) | {"photos": [], "at": []}
    if len(small) == len(pictures):
        return values  # the places are those of the pictures
    places = itertools.count()
    for one in pictures:
        values["photos"].append(photo_uri(one) if isinstance(one, bytes) else None)
        values["at"].append(None if isinstance(one, bytes) else next(places))
    return values


def histogram(scores: np.ndarray, threshold: float) -> dict[str, Any]:
    """Return the bins of the scores (n,) and how many lie in each, those beyond the ends included.

    The threshold always lies on the axis: it counts as one score in 500.
    """
    weight = len(scores) // 500 + 1
    edges, logarithmic = score_edges([scores, np.full(weight, threshold)], bins=BINS)
    edges, shown = (np.array(list(map(_rounded, values)), float) for values in (edges, scores))
    # As the script counts those it shows: a score on an edge belongs to the bin above it.
    bins = np.searchsorted(edges[1:-1], shown, side="right")
    counts = np.bincount(bins, minlength=BINS)
    return {"edges": edges.tolist(), "logarithmic": logarithmic, "counts": counts.tolist()}


def _check(rows: pd.DataFrame) -> None:
    missing = [name for name in COLUMNS if name not in rows]
    if missing:
        raise ValueError(f"rows: no column {', '.join(missing)}; expected {', '.join(COLUMNS)}")
    bad = rows.loc[~np.isfinite(rows["score"].astype(float)), ["path", "score"]]
    for path, score in bad.itertuples(index=False):
        raise ValueError(f"{printable(path)}: score {score}; expected a finite number")


def _rounded(number: float) -> float | None:
    """Return it with six digits, or None where there is no finite number: JSON has no others."""
    return float(f"{number:.6g}") if np.isfinite(number) else None
