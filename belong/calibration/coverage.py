"""Whether the promise is kept: calibrate on some of the images that belong, count on the others.

Split at random, the two parts are exchangeable, so that the rates follow the law of
`conformal.promised_range` whatever the detector, but for ties between scores. What differs in a
real use, if new images are unlike those that calibrated, no split of the old ones can show.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from belong.calibration import conformal
from belong.calibration.verdict import decide

# Half of the held-out images give its p-values, and only the rest set its threshold, unless the
# training images calibrate.
COMBINED, CROSS = "combined", "cross"


def expected(name: str, calibration: Mapping[str, Any], n_test: int) -> tuple[float, float]:
    """Return between which rates of false rejects 95 % of runs lie, on `n_test` normal images.

    `name` is the detector's, `calibration` is that of metrics_all.json.
    """
    held_out = calibration["n_calibration"]
    has_half = name == COMBINED and calibration.get("method") != CROSS
    n = held_out // 2 if has_half else held_out
    return conformal.promised_range(n, n_test, alpha=calibration["alpha"])


def outside(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Return the rate of false rejects of each detector that lies outside its own range.

    Args:
        numbers: metrics_all.json of a run whose thresholds in force are the calibrated ones.
    """
    found = {}
    for name, measured in numbers["detectors"].items():
        rate = measured.get("false_reject")
        if rate is not None:
            low, high = expected(name, numbers["calibration"], numbers["data"]["normal_test"])
            if not round(low, 4) <= rate <= round(high, 4):  # the rate has four decimals
                found[name] = rate
    return found


COLUMNS = [
    "detector", "calibration_images", "fresh_images", "expected_low", "expected_high", "splits",
    "within", "least", "mean", "most",
]  # fmt: skip


def rates(
    scores: np.ndarray, *, calibration: int, splits: int, alpha: float, rng: np.random.Generator
) -> np.ndarray:
    """Return the share of fresh images that is rejected, split by split: (splits,).

    Of n images that belong and that nothing was fitted to, `calibration` set the threshold and the
    others are the fresh ones; `rng` draws the splits, and a share `alpha` is promised.
    """
    achieved = np.empty(splits)
    for split in range(splits):
        drawn = rng.permutation(scores)
        limit = conformal.threshold(drawn[:calibration], alpha=alpha)
        achieved[split] = (~decide(drawn[calibration:], limit)).mean()
    return achieved


def resplits(
    calibration: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    *,
    splits: int,
    alpha: float,
    seed: int,
) -> pd.DataFrame:
    """Split the images of each detector anew, with as many in each part as before.

    Args:
        calibration: detector -> scores of the images that set its threshold.
        test: detector -> scores of the normal test images.
        splits: of each detector.
        alpha: promised share of fresh images that are rejected.
        seed: draws the splits of each detector, together with its name: whatever others there are.

    Returns:
        COLUMNS: `within`, the number of splits whose rate is in the range that holds it in 95 of
        100; the least, mean and largest rate.
    """
    rows = []
    for name, own in calibration.items():
        n, m = len(own), len(test[name])
        low, high = conformal.promised_range(n, m, alpha=alpha)
        every = np.concatenate([own, test[name]])
        rng = np.random.default_rng([seed, *name.encode()])
        achieved = rates(every, calibration=n, splits=splits, alpha=alpha, rng=rng)
        within = int(((low <= achieved) & (achieved <= high)).sum())
        ends = achieved.min(), achieved.mean(), achieved.max()
        rows.append((name, n, m, low, high, splits, within, *ends))
    return pd.DataFrame(rows, columns=COLUMNS)
