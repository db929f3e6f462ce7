"""Resplit the calibration and test images, and measure the coverage of the threshold.

Reads   scores   safetensors: of each detector `PART/NAME` of the parts below, and `PART/predicted`;
                 about: `class_names`, and `thresholds` of the detectors that have scores
Writes  promise  csv: rows for each guarantee, see `belong.calibration.coverage.resplits`
        fdr      csv: false discoveries in mixed batches, see `coverage.false_discoveries`
"""

from pathlib import Path

import pandas as pd

from belong.calibration.coverage import (
    COMBINED,
    FDR_COLUMNS,
    class_resplits,
    false_discoveries,
    resplits,
)
from belong.calibration.sample_size import CONDITIONAL, MARGINAL, least_alpha
from belong.parameters import Parameters
from belong.runtime.storage import load_about, load_arrays, save_csv
from stages.runner import run

HELD_OUT, TEST, ANOMALY = "normal/calibration", "normal/test", "anomaly/test"
SHARES = (0.05, 0.1, 0.2)  # false discovery rates


def main(params: Path, scores: Path, promise: Path, fdr: Path) -> None:
    """Resplit the images, count the rejections, and save the tables."""
    values = Parameters.load(params)
    about = load_about(scores, "thresholds", "class_names")
    names, arrays = sorted(about["thresholds"]), load_arrays(scores)
    held_out, test = (
        {name: arrays[f"{part}/{name}"] for name in names} for part in (HELD_OUT, TEST)
    )
    splits, alpha, seed = values.promise.splits, values.calibration.alpha, values.seed
    # `combined` is calibrated on every other image, see `belong.detectors.combined`.
    labels = arrays[f"{HELD_OUT}/predicted"]
    calibration = (
        held_out[COMBINED],
        labels if len(held_out[COMBINED]) == len(labels) else labels[1::2],
    )
    tables = [
        resplits(enough, test, splits=splits, alpha=alpha, seed=seed, guarantee=guarantee)
        for guarantee in (MARGINAL, CONDITIONAL)
        # Few images keep no training-conditional guarantee.
        if (
            enough := {n: x for n, x in held_out.items() if least_alpha(len(x), guarantee) <= alpha}
        )
    ]
    of_classes = class_resplits(
        COMBINED,
        calibration,
        (test[COMBINED], arrays[f"{TEST}/predicted"]),
        about["class_names"],
        splits=splits,
        alpha=alpha,
        seed=seed,
    )
    save_csv(promise, pd.concat([*tables, of_classes], ignore_index=True))
    discoveries = pd.DataFrame(columns=FDR_COLUMNS)
    if f"{ANOMALY}/{COMBINED}" in arrays:
        others = {name: arrays[f"{ANOMALY}/{name}"] for name in names}
        discoveries = false_discoveries(
            held_out, test, others, splits=splits, shares=SHARES, seed=seed
        )
    save_csv(fdr, discoveries)


if __name__ == "__main__":
    run(main)
