"""What the page's script reads: the images that the page holds, and the scores of all of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from belong.reporting.gallery.sprite_sheets import sheets
from belong.reporting.histogram_bins import score_edges
from belong.runtime.text import printable

TEXTS = ("path", "class", "nearest_class", "detector", "reason")
NUMBERS = ("probability", "p_value", "score", "distance")
COLUMNS = (*TEXTS, *NUMBERS, "belongs")
BINS = 60

# Of an image: (place of a training image, distance to it), the nearest first.
Nearest = Sequence[tuple[int, float]]


def page_data(
    rows: pd.DataFrame,
    pictures: Mapping[int, np.ndarray],
    nearest: Mapping[int, Nearest],
    training_pictures: Mapping[int, np.ndarray] | np.ndarray,
    training_classes: Sequence[str],
    *,
    threshold: float,
) -> dict[str, Any]:
    """Return the data of the page, ready for JSON; the arguments are those of `gallery_page`.

    The images come with the highest score first, so that what is looked at first shares few sheets
    of pictures. Of the training images those are kept that lie near one of them.

    Raises:
        ValueError: a column is missing, or a score is not a finite number.
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
    return {
        "images": {
            "row": held.index.tolist(),
            "belongs": held["belongs"].astype(bool).tolist(),
            "nearest": [[[at[place], _rounded(d)] for place, d in one] for one in close],
            **texts,
            **{name: [_rounded(value) for value in held[name]] for name in NUMBERS},
        },
        "pictures": vars(sheets([pictures[row] for row in held.index])),
        "training": {
            "class": [printable(training_classes[place]) for place in used],
            "pictures": vars(sheets([training_pictures[place] for place in used])),
        },
        "threshold": threshold,
        "histogram": histogram(rows["score"].to_numpy(), threshold),
    }


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
        raise ValueError(f"rows: no column {', '.join(missing)}; wanted {', '.join(COLUMNS)}")
    bad = rows.loc[~np.isfinite(rows["score"].astype(float)), ["path", "score"]]
    for path, score in bad.itertuples(index=False):
        raise ValueError(f"{printable(path)}: score {score}; wanted a finite number")


def _rounded(number: float) -> float | None:
    """Return it with six digits, or None where there is no finite number: JSON has no others."""
    return float(f"{number:.6g}") if np.isfinite(number) else None
