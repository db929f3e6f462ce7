"""Resplit the calibration and test images, and measure the coverage of the threshold.

Reads   scores   safetensors: of each detector `normal/calibration/NAME`, `normal/test/NAME`; about:
                 `thresholds` of the detectors that have scores
Writes  promise  csv: a row for each detector, see `belong.calibration.coverage`
"""

from pathlib import Path

from belong.calibration.coverage import resplits
from belong.parameters import Parameters
from belong.runtime.storage import load_about, load_arrays, save_csv
from stages.runner import run

PARTS = ("normal/calibration", "normal/test")


def main(params: Path, scores: Path, promise: Path) -> None:
    """Resplit the images, count the rejections, and save the table."""
    values = Parameters.load(params)
    names = sorted(load_about(scores, "thresholds")["thresholds"])
    held_out, test = (
        dict(zip(names, load_arrays(scores, *(f"{part}/{name}" for name in names)).values(),
                 strict=True))
        for part in PARTS
    )  # fmt: skip
    table = resplits(
        held_out,
        test,
        splits=values.promise.splits,
        alpha=values.calibration.alpha,
        seed=values.seed,
    )
    save_csv(promise, table)


if __name__ == "__main__":
    run(main)
