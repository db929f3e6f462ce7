"""Test whether new images are rejected as often as the calibration promises.

Three tests run together. The probability that any of them raises a false alarm is at most delta,
however often the results are read:

- Has the rejection rate left its band? The bets are against the distribution of the rate for this
  number of calibration images (`pooled_chances`), at half of delta.
- Do the scores still follow the distribution of the calibration scores? The bets are on low
  p-values, at a quarter of delta (`score_law`). Few calibration images determine a small rate
  poorly, and their whole distribution much better.
- Which class drifts? The guarantee holds for all classes together, and some classes may be rejected
  more often than others from the start. Each predicted class is therefore compared with its own
  past in the stream (`rank_p_values`), at its share of the last quarter of delta (Bonferroni). A
  problem of a class that exists from the first image on is detected only by the first two tests.

The second test is not run if the training images calibrate: models with fewer images have scored
them, so their scores and those of new images have slightly different distributions.

All tests assume exchangeable images: a stream that is sorted by class instead of time may raise a
false alarm of the first test. If scores tie, fewer images are rejected than promised; the bets on a
higher rate then lose, and those on a lower rate may win.

In simulations with 5,999 calibration images, alpha 2.5% and delta 1%, half of the streams with a
rate of 5% from the start raise an alarm within 780 images, and with 10% within 120. If the rate
changes after 2,000 images, this takes 1,220 and 210 images. Of unchanged streams of 1,500 images,
1 in 400 raises a false alarm at delta 1%.
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

BLOCKS = 40  # maximum number of blocks of a stream in tables and figures


@dataclass(frozen=True)
class StreamAnalysis:
    """The results of the three tests on a stream of n images.

    Attributes:
        expected: range of the rejection rate of 19 in 20 streams of this length.
        evidence: (n,) log10 of the capital of the bets on the rejection rate.
        limit: the evidence at which the rejection rate has left its band.
        drift: of the rejection rate, or None.
        law_evidence: (n,) log10 of the capital of the bets on the distribution of the scores.
        law_limit: the evidence at which the scores have another distribution; None if that is not
            tested.
        law_drift: of the distribution of the scores, or None.
        foreign_share: estimated lower bound of the share of out-of-distribution images among
            those since `law_drift`, or among all images.
        classes: index: the predicted classes, by decreasing evidence; columns `images`,
            `rejected`, `evidence` (the maximum).
        class_limit: the evidence at which a class drifts.
        class_drifts: class -> its drift, in positions of the whole stream.
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
    """Analyze a stream of predictions.

    Args:
        rows: columns `class` and `p_value` of n images, in the order of time.
        rejected: (n,) bool.
        alpha: promised false-rejection rate.
        n_calibration: number of calibration images, at least `least_to_calibrate(alpha)`.
        delta: maximum probability of a false alarm of any of the three tests, between 0 and 1.
        rng: breaks ties between p-values.
        is_cross: whether the training images calibrate, scored out of fold.
    """

    def promised_range(images: int) -> tuple[float, float]:
        return conformal.promised_range(n_calibration, images, alpha=alpha, is_cross=is_cross)

    rank = rejectable(n_calibration, alpha)
    chances = pooled_chances(rejected, rank=rank, n=n_calibration)
    evidence = log_capital(rejected, chances) / math.log(10)
    limit = math.log10(2 / delta)
    positions = np.arange(len(rows))

    names, p_values = rows["class"].to_numpy(str), rows["p_value"].to_numpy()
    places = {str(name): np.flatnonzero(names == name) for name in np.unique(names)}
    law_limit = limit + math.log10(2)
    law_gains = gains(ranks_of(p_values, n=n_calibration), n=n_calibration)
    law_evidence = capital_of(law_gains) / math.log(10)
    law_drift = None
    if not is_cross:
        law_drift = drift_of(law_gains, law_evidence, positions, limit=law_limit)
    class_limit = law_limit + math.log10(len(places))
    of_class, drifts = {}, {}
    for name, rows_of_class in places.items():
        hits = rank_p_values(p_values[rows_of_class], rng) <= alpha
        class_chances = np.full(len(rows_of_class), alpha)
        of_class[name] = log_capital(hits, class_chances) / math.log(10)
        drift = first_drift(hits, class_chances, of_class[name], rows_of_class, limit=class_limit)
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
        drift=first_drift(rejected, chances, evidence, positions, limit=limit),
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
    """Divide a stream of n images into at most `BLOCKS` blocks of equal length.

    `names` (n,) are the predicted classes; `of_class` is class -> evidence on its images;
    `promised_range` returns the expected range of the rate for a number of images.

    Returns:
        A row for each block, and for each class in a block, with the columns of
        `belong.commands.watch.watch.WatchResult.to_pandas`. The expected range of a class is empty.
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
            is_of_class = names[:last] == name
            class_values = {
                "class": name,
                "images": is_of_class[first:].sum(),
                "rejected": (is_of_class & rejected[:last])[first:].sum(),
            }
            if class_values["images"]:
                rows.append(class_values | ends | {"evidence": capital[is_of_class.sum() - 1]})
    table = pd.DataFrame(rows)
    table["rate"] = table["rejected"] / table["images"]
    columns = ["class", "first", "last", "images", "rejected", "rate", *band, "evidence"]
    return table[columns].sort_values(["class", "first"], kind="stable", ignore_index=True)
