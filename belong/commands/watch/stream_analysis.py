"""Test whether new images are rejected as often as the calibration promises.

Three questions; the chance that any is answered wrongly by bad luck is at most delta, however often
one looks:

- Has the rate left its band? The bets are against the law that the finite number of calibration
  images gives (`pooled_chances`), at half of delta.
- Do the scores still follow the law of the calibration scores? The bets are on low p-values, at a
  quarter of delta (`score_law`): few calibration images say little of a small rate, and much of
  their whole law.
- Which class drifts? The promise holds for all classes together: one may well be rejected more
  often than another from the start. So each predicted class is compared with its own past in the
  stream (`rank_p_values`), at its share of the last quarter (Bonferroni). What is wrong with a
  class from the first image on can only be found by the first two questions.

The second is not asked if the training images calibrate: models with fewer images have scored them,
so their scores and those of new images follow slightly different laws.

All take the images as exchangeable: of a stream that is sorted by class, and not by time, the
first may say that it drifts. Where scores tie, fewer images are rejected than promised; then the
bets on a higher rate lose, and those on a lower one may win.

In simulations with 5,999 calibration images, alpha 2.5 % and delta 1 %, half of the streams whose
rate is 5 % from the start are noticed within 780 images, with 10 % within 120; after 2,000 quiet
images it takes 1,220 and 210. Of quiet streams of 1,500 images 1 in 400 raises an alarm at 1 %.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from belong.calibration import conformal
from belong.calibration.sample_size import rejectable
from belong.commands.watch.martingale import (
    Drift,
    capital_of,
    drift_of,
    first_drift,
    log_capital,
    pooled_chances,
    rank_p_values,
)
from belong.commands.watch.score_law import foreign_share, gains, ranks_of

BLOCKS = 40  # of a stream, at most, to be shown over time


@dataclass(frozen=True)
class StreamAnalysis:
    """What a stream says.

    Attributes:
        expected: holds the share of rejected images in 19 of 20 streams of this length.
        evidence: (n,) log10 of the capital after each image.
        limit: the evidence at which the rate has left its band.
        drift: of the rate of all images, if there is one.
        law_evidence: (n,) log10 of the capital of the bets on the scores' law.
        law_limit: the evidence at which the scores have left it; None if that is not tested.
        law_drift: of the scores, if there is one.
        foreign_share: of the images since the drift of the law, or of all: at least so many are
            unlike the calibration images, by estimate.
        classes: index: the predicted classes, those with the most evidence first; columns
            `images`, `rejected`, `evidence` (the highest).
        class_limit: the evidence at which a class drifts.
        class_drifts: class -> its drift, in places of the whole stream.
        blocks: see `_blocks`.
    """

    expected: tuple[float, float]
    evidence: np.ndarray
    limit: float
    drift: Drift | None
    law_evidence: np.ndarray
    law_limit: float | None
    law_drift: Drift | None
    foreign_share: float
    classes: pd.DataFrame
    class_limit: float
    class_drifts: dict[str, Drift]
    blocks: pd.DataFrame


def analyze(
    rows: pd.DataFrame,
    rejected: np.ndarray,
    *,
    alpha: float,
    n_calibration: int,
    delta: float,
    rng: np.random.Generator,
    is_cross: bool = False,
) -> StreamAnalysis:
    """Look at a stream of predictions.

    Args:
        rows: columns `class` and `p_value` of n images, in the order of time.
        rejected: (n,) bool.
        alpha: promised share of the images that belong that is rejected.
        n_calibration: images that set the threshold, enough to reject any at alpha.
        delta: the chance of a false alarm.
        rng: breaks ties between p-values.
        is_cross: whether the training images calibrate, scored out of fold.
    """

    def promised_range(images: int) -> tuple[float, float]:
        return conformal.promised_range(n_calibration, images, alpha=alpha, is_cross=is_cross)

    rank = rejectable(n_calibration, alpha)
    chances = pooled_chances(rejected, rank=rank, n=n_calibration)
    evidence = log_capital(rejected, chances) / math.log(10)
    limit = math.log10(2 / delta)
    every = np.arange(len(rows))

    names, p_values = rows["class"].to_numpy(str), rows["p_value"].to_numpy()
    places = {str(name): np.flatnonzero(names == name) for name in np.unique(names)}
    law_limit = limit + math.log10(2)
    law_gains = gains(ranks_of(p_values, n=n_calibration), n=n_calibration)
    law_evidence = capital_of(law_gains) / math.log(10)
    law_drift = None
    if not is_cross:
        law_drift = drift_of(law_gains, law_evidence, every, limit=law_limit)
    class_limit = law_limit + math.log10(len(places))
    of_class, drifts = {}, {}
    for name, rows_of_class in places.items():
        hits = rank_p_values(p_values[rows_of_class], rng) <= alpha
        own_chances = np.full(len(rows_of_class), alpha)
        of_class[name] = log_capital(hits, own_chances) / math.log(10)
        drift = first_drift(hits, own_chances, of_class[name], rows_of_class, limit=class_limit)
        if drift is not None:
            drifts[name] = drift
    classes = pd.DataFrame(
        {
            "images": {name: len(rows_of_class) for name, rows_of_class in places.items()},
            "rejected": {
                name: int(rejected[rows_of_class].sum()) for name, rows_of_class in places.items()
            },
            "evidence": {name: float(capital.max()) for name, capital in of_class.items()},
        }
    )
    return StreamAnalysis(
        expected=promised_range(len(rows)),
        evidence=evidence,
        limit=limit,
        drift=first_drift(rejected, chances, evidence, every, limit=limit),
        law_evidence=law_evidence,
        law_limit=None if is_cross else law_limit,
        law_drift=law_drift,
        foreign_share=foreign_share(p_values[law_drift.begun if law_drift else 0 :]),
        classes=classes.sort_values("evidence", ascending=False, kind="stable"),
        class_limit=class_limit,
        class_drifts=drifts,
        blocks=_blocks(names, rejected, evidence, of_class, promised_range=promised_range),
    )


def _blocks(
    names: np.ndarray,
    rejected: np.ndarray,
    evidence: np.ndarray,
    of_class: Mapping[str, np.ndarray],
    *,
    promised_range: Callable[[int], tuple[float, float]],
) -> pd.DataFrame:
    """Divide a stream of n images into at most 40 blocks of the same length.

    `names` (n,) are the predicted classes; `of_class` has the evidence of each on its own images;
    `promised_range` returns the range of the rate, of a number of images.

    Returns:
        A row for each block, and for each class in it, with the columns of
        `belong.commands.watch.watch.WatchResult.to_pandas`; of a class nothing is expected.
    """
    edges = np.linspace(0, len(names), min(BLOCKS, len(names)) + 1).astype(int)
    rows = []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        low, high = promised_range(last - first)
        whole = {"class": "", "images": last - first, "rejected": rejected[first:last].sum()}
        ends = {"first": first + 1, "last": last}
        band = {"expected_low": low, "expected_high": high}
        rows.append(whole | ends | band | {"evidence": evidence[last - 1]})
        for name, capital in of_class.items():
            is_own = names[:last] == name
            class_values = {
                "class": name,
                "images": is_own[first:].sum(),
                "rejected": (is_own & rejected[:last])[first:].sum(),
            }
            if class_values["images"]:
                rows.append(class_values | ends | {"evidence": capital[is_own.sum() - 1]})
    table = pd.DataFrame(rows)
    table["rate"] = table["rejected"] / table["images"]
    columns = ["class", "first", "last", "images", "rejected", "rate", *band, "evidence"]
    return table[columns].sort_values(["class", "first"], kind="stable", ignore_index=True)
