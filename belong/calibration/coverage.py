"""Measure the coverage: calibrate on some normal images, and count the rejects among the others.

After a random split, the two parts are exchangeable, so the rates follow the distribution of
`conformal.promised_range` for any detector, except for ties between scores. A split of the same
images cannot show the effect of a distribution shift between the calibration and use.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from belong.calibration import conformal
from belong.calibration.false_discovery import reported_rank
from belong.calibration.sample_size import (
    CONDITIONAL,
    MARGINAL,
    PER_CLASS,
    ROUNDING,
    Guarantee,
    least_to_calibrate,
    rejectable,
)
from belong.calibration.verdict import decide
from belong.calibration.verdict_rule import VerdictRule

# One half of the held-out images defines the p-values of `combined`, and only the other half sets
# its threshold, except in a cross-conformal calibration.
COMBINED, CROSS = "combined", "cross"


def expected(name: str, calibration: Mapping[str, Any], n_test: int) -> tuple[float, float]:
    """Return the range of the false-rejection rate in 95% of runs, on `n_test` normal images.

    `name` is the name of the detector; `calibration` is the key of metrics_all.json.
    """
    held_out = calibration["n_calibration"]
    is_cross = calibration.get("method") == CROSS
    n = held_out // 2 if name == COMBINED and not is_cross else held_out
    return conformal.promised_range(n, n_test, alpha=calibration["alpha"], is_cross=is_cross)


def outside(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Return detector -> false-rejection rate, for the detectors outside their expected range.

    Args:
        numbers: metrics_all.json of a run whose thresholds in force are the calibrated ones.
    """
    outliers = {}
    for name, measured in numbers["detectors"].items():
        rate = measured.get("false_reject")
        if rate is not None:
            low, high = expected(name, numbers["calibration"], numbers["data"]["normal_test"])
            if not round(low, 4) <= rate <= round(high, 4):  # the rate has four decimals
                outliers[name] = rate
    return outliers


COLUMNS = [
    "guarantee", "detector", "class", "calibration_images", "fresh_images", "expected_low",
    "expected_high", "splits", "within", "above", "above_expected", "least", "mean", "most",
]  # fmt: skip
FDR_COLUMNS = [
    "detector", "fdr", "calibration_images", "batch", "anomalies", "splits", "bound", "mean",
    "standard_error", "found",
]  # fmt: skip
SHARE = 16
BATCH, FOREIGN = 1000, 0.1  # images of a mixed batch, and the share of anomalies


def rates(
    scores: np.ndarray,
    *,
    calibration: int,
    splits: int,
    alpha: float,
    rng: np.random.Generator,
    guarantee: Guarantee = MARGINAL,
) -> np.ndarray:
    """Return the share of rejected fresh images in each split: (splits,).

    `scores` (n,) are those of normal images that were not used for fitting. In each split, which
    `rng` draws, `calibration` of them set the threshold, and the others are the fresh images.
    `alpha` is the promised false-rejection rate.
    """
    achieved = np.empty(splits)
    for split in range(splits):
        shuffled = rng.permutation(scores)
        limit = conformal.threshold(shuffled[:calibration], alpha=alpha, guarantee=guarantee)
        achieved[split] = (~decide(shuffled[calibration:], limit)).mean()
    return achieved


def class_rates(
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    calibration: int,
    splits: int,
    alpha: float,
    rng: np.random.Generator,
) -> Iterator[tuple[int, int, int, float]]:
    """Yield (class, its calibration images, its fresh images, the share of rejected fresh images).

    As `rates`, with a threshold for each class of `labels` (n,) int. A class with too few
    calibration images in a split is skipped.
    """
    for _ in range(splits):
        order = rng.permutation(len(scores))
        first, fresh = order[:calibration], order[calibration:]
        rule = VerdictRule.of(
            scores[first],
            labels[first],
            classes=int(labels.max()) + 1,
            alpha=alpha,
            guarantee=PER_CLASS,
        )
        rejected = ~rule.belongs(scores[fresh], labels[fresh])
        for label, calibration_of_class in rule.of_class.items():
            if (is_own := labels[fresh] == label).any():
                yield (
                    label,
                    len(calibration_of_class.scores),
                    int(is_own.sum()),
                    float(rejected[is_own].mean()),
                )


def resplits(
    calibration: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    *,
    splits: int,
    alpha: float,
    seed: int,
    guarantee: Guarantee = MARGINAL,
) -> pd.DataFrame:
    """Split the images of each detector again at random, into parts of the same sizes.

    With "training-conditional", one image in `SHARE` calibrates. The rate of each calibration set
    counts, and many fresh images measure it precisely.

    Args:
        calibration: detector -> scores of the images that set its threshold.
        test: detector -> scores of the normal test images.
        splits: number of splits per detector.
        alpha: promised false-rejection rate, between 0 and 1.
        seed: random seed; the splits of a detector depend on the seed and its name only.
        guarantee: scope of alpha, "marginal" or "training-conditional".

    Returns:
        A row for each detector with the columns COLUMNS. `within`: number of splits with a rate in
        the range expected in 95 of 100 splits. `above`: number of splits with a rate above alpha;
        `above_expected`: its expected value, as the rate is measured on only `fresh_images` images.
        `least`, `mean` and `most`: the rates. `class` is empty.
    """
    rows = []
    for name, held_out in calibration.items():
        every = np.concatenate([held_out, test[name]])
        n = len(held_out)
        if guarantee == CONDITIONAL:
            n = min(n, max(least_to_calibrate(alpha, guarantee), len(every) // SHARE))
        m = len(every) - n
        low, high = conformal.promised_range(n, m, alpha=alpha, guarantee=guarantee)
        rng = np.random.default_rng([seed, *name.encode()])
        achieved = rates(
            every, calibration=n, splits=splits, alpha=alpha, rng=rng, guarantee=guarantee
        )
        within = int(((low <= achieved) & (achieved <= high)).sum())
        chances = conformal.chances_of(n, m, rejectable(n, alpha, guarantee))
        expected_above = splits * float(chances[math.floor(alpha * m + ROUNDING) + 1 :].sum())
        above = int((achieved > alpha + ROUNDING).sum()), round(expected_above, 1)
        ends = achieved.min(), achieved.mean(), achieved.max()
        rows.append((guarantee, name, "", n, m, low, high, splits, within, *above, *ends))
    return pd.DataFrame(rows, columns=COLUMNS)


def class_resplits(
    name: str,
    calibration: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    class_names: Sequence[str],
    *,
    splits: int,
    alpha: float,
    seed: int,
) -> pd.DataFrame:
    """Return a row for each class, in the form of `resplits`, with a threshold for each class.

    `calibration` and `test` are the scores and the predicted classes (n,) of the calibration images
    and of the normal test images, for the detector `name`. The numbers of images and the range are
    means over the splits.
    """
    scores, labels = (np.concatenate(both) for both in zip(calibration, test, strict=True))
    rates_of: dict[int, list[tuple[float, ...]]] = {}
    for label, n, m, rate in class_rates(
        scores,
        labels,
        calibration=len(calibration[0]),
        splits=splits,
        alpha=alpha,
        rng=np.random.default_rng([seed, *name.encode()]),
    ):
        low, high = conformal.promised_range(n, m, alpha=alpha)
        chances = conformal.chances_of(n, m, rejectable(n, alpha))
        above = float(chances[math.floor(alpha * m + ROUNDING) + 1 :].sum())
        row = n, m, low, high, low <= rate <= high, rate > alpha + ROUNDING, above, rate
        rates_of.setdefault(label, []).append(row)
    rows = []
    for label, rates in sorted(rates_of.items()):
        n, m, low, high, within, above, expected_above, achieved = np.array(rates, float).T
        sizes = round(n.mean()), round(m.mean()), low.mean(), high.mean(), len(rates)
        counts = int(within.sum()), int(above.sum()), round(float(expected_above.sum()), 1)
        ends = achieved.min(), achieved.mean(), achieved.max()
        rows.append((PER_CLASS, name, class_names[label], *sizes, *counts, *ends))
    return pd.DataFrame(rows, columns=COLUMNS)


def false_discoveries(
    calibration: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    anomalies: Mapping[str, np.ndarray],
    *,
    splits: int,
    shares: Sequence[float],
    seed: int,
) -> pd.DataFrame:
    """Apply the Benjamini-Hochberg procedure to mixed batches, and count the false discoveries.

    A batch has up to `BATCH` images, of which the share `FOREIGN` are anomalies.

    Args:
        calibration: detector -> scores of its calibration images.
        test: detector -> scores of the normal test images.
        anomalies: detector -> scores of test images that do not belong.
        splits: number of splits of the normal images per detector; each split has one batch.
        shares: false discovery rates, see `belong.calibration.false_discovery`.
        seed: see `resplits`.

    Returns:
        A row for each detector and rate with the columns FDR_COLUMNS. `bound`: the guaranteed upper
        bound of the average share of false discoveries; `mean`: the measured average, with its
        `standard_error`; `found`: the mean share of the anomalies that are reported.
    """
    rows = []
    for name, held_out in calibration.items():
        n = len(held_out)
        every = np.concatenate([held_out, test[name]])
        foreign = min(round(BATCH * FOREIGN), len(anomalies[name]))
        normal = min(BATCH - foreign, len(test[name]))
        is_false = np.arange(normal + foreign) < normal
        rng = np.random.default_rng([seed, *name.encode()])
        shares_of: dict[float, list[tuple[float, float]]] = {share: [] for share in shares}
        for _ in range(splits):
            shuffled = rng.permutation(every)
            others = rng.choice(anomalies[name], foreign, replace=False)
            batch = np.concatenate([shuffled[n : n + normal], others])
            ranks = np.rint(conformal.p_values(shuffled[:n], batch) * (n + 1)).astype(np.int64)
            for share, values in shares_of.items():
                reported = ranks <= reported_rank(ranks, n=n, fdr=share)
                false = (reported & is_false).sum() / max(1, reported.sum())
                values.append((float(false), float(reported[~is_false].mean())))
        for share, values in shares_of.items():
            false, power = np.array(values).T
            error = false.std(ddof=1) / math.sqrt(splits)
            sizes = n, normal + foreign, foreign, splits, share * normal / (normal + foreign)
            rows.append((name, share, *sizes, false.mean(), error, power.mean()))
    return pd.DataFrame(rows, columns=FDR_COLUMNS)
