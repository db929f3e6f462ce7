"""Render the images of a folder with their verdicts as one page.

Names of files and classes are not trusted. The template escapes every value, the data of the script
are JSON without a `<`, the script writes text and never HTML, and the content security policy of
the page allows only this script, and no request.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from belong.calibration.sample_size import LEAST_FOREIGN, LEAST_NEW
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

LEAST_HALF = 20_000  # with more calibration images, the page has the larger half of their scores


@dataclass(frozen=True)
class Review:
    """The data of a page for another alpha, and for a person's answers.

    Attributes:
        model: SHA-256 of the manifest.
        source: the folder of the images, as named by the user of `belong score`.
        class_names: c class names.
        files: (n,) exact paths of the images; the printed paths of two files may be equal.
        alpha: the alpha of the verdicts; None if alpha cannot be changed on the page.
        calibration: (m,) scores of the calibration images.
        command: the command that scores the same images again, without `--alpha`.
    """

    model: str
    source: str
    class_names: Sequence[str]
    files: Sequence[str]
    alpha: float | None
    calibration: np.ndarray
    command: str


# The neighbors of an image: (index of a training image, distance), the nearest first.
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
    """Render the page as self-contained HTML.

    Images are sorted by descending score, so that the first visible images share few sheets of
    pictures.

    Args:
        rows: a row for each of the n images, with the columns of predictions.csv: `path`, `class`,
            `probability`, `belongs`, `p_value`, `score`, `nearest_class`, `distance`, `detector`,
            `reason`. All values except `path`, `belongs` and `score` may be missing.
        pictures: index in `rows` -> a JPEG, or (ch, h, w) uint8, all of one shape: the images on
            the page, selected by `selection.telling` and converted by `sprite_sheets.shown`.
        nearest: index in `rows` -> nearest training images; entries may be missing.
        training_pictures: index of a training image -> its picture, in the form of `pictures`;
            only images in `nearest` are used.
        training_classes: the classes of the training images.
        title: heading: the scored folder.
        threshold: the score up to which an image belongs.
        facts: label -> value, further information on the run; the numbers of images and of
            rejected images are always shown.
        review: data for another alpha and a person's answers; None: the page has neither.

    Raises:
        ValueError: a column is missing, a score is not a finite number, or shapes differ.
    """
    _check(rows)
    rows = rows.reset_index(drop=True)
    shown_rows = rows.loc[sorted(pictures)].sort_values("score", ascending=False, kind="stable")
    close = [nearest.get(row, ()) for row in shown_rows.index]
    training_rows = sorted({place for one in close for place, _ in one})
    at = {place: number for number, place in enumerate(training_rows)}
    texts = {
        name: [None if pd.isna(value) else printable(str(value)) for value in shown_rows[name]]
        for name in TEXTS
    }
    data: dict[str, Any] = {
        "images": {
            "row": shown_rows.index.tolist(),
            "belongs": shown_rows["belongs"].astype(bool).tolist(),
            "nearest": [[[at[place], _rounded(d)] for place, d in one] for one in close],
            **texts,
            **{name: [_rounded(value) for value in shown_rows[name]] for name in NUMBERS},
        },
        "pictures": _pictures([pictures[row] for row in shown_rows.index]),
        "training": {
            "class": [printable(training_classes[place]) for place in training_rows],
            "pictures": _pictures([training_pictures[place] for place in training_rows]),
        },
        "threshold": threshold,
        "histogram": histogram(rows["score"].to_numpy(), threshold),
        "review": None if review is None else _review(review, rows),
    }
    if review is not None:
        places = {name: place for place, name in enumerate(review.class_names)}
        files = [exact(review.files[row]) for row in shown_rows.index]
        data["images"] |= {
            "label": [places.get(name) for name in shown_rows["class"]],
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
        least_new=LEAST_NEW,
        least_foreign=LEAST_FOREIGN,
    )


def _review(review: Review, rows: pd.DataFrame) -> dict[str, Any]:
    """Return the data of the script, with the number of images by p-value, up to one half."""
    fields, n = vars(review), len(review.calibration)
    data = {key: fields[key] for key in ("model", "source")} | {
        "class_names": [*review.class_names]
    }
    if review.alpha is None:
        return data | {"calibrated": None}
    ranks = np.rint(rows["p_value"].to_numpy() * (n + 1)).astype(int)
    distinct, counts = np.unique(ranks[ranks <= (n + 1) // 2], return_counts=True)
    largest = np.sort(review.calibration)[::-1][: (n + 1) // 2 if n <= LEAST_HALF else 0]
    return data | {
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
    """Return the sheets of small pictures, and each picture's photo or index on the sheets."""
    small = [one for one in pictures if not isinstance(one, bytes)]
    values = vars(sheets(small)) | {"photos": [], "at": []}
    if len(small) == len(pictures):
        return values  # the index on the sheets is that of the picture
    places = itertools.count()
    for one in pictures:
        values["photos"].append(photo_uri(one) if isinstance(one, bytes) else None)
        values["at"].append(None if isinstance(one, bytes) else next(places))
    return values


def histogram(scores: np.ndarray, threshold: float) -> dict[str, Any]:
    """Return the bins of the scores (n,) and their counts; outliers count in the end bins.

    The threshold is always within the bins: it counts as one score in 500.
    """
    weight = len(scores) // 500 + 1
    edges, logarithmic = score_edges([scores, np.full(weight, threshold)], bins=BINS)
    edges, rounded_scores = (
        np.array(list(map(_rounded, values)), float) for values in (edges, scores)
    )
    # As in the script, a score on an edge belongs to the bin above.
    bins = np.searchsorted(edges[1:-1], rounded_scores, side="right")
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
    """Round a number to six digits; return None for a non-finite number, which JSON lacks."""
    return float(f"{number:.6g}") if np.isfinite(number) else None
