"""Write the generated parts of the README anew: `make readme`.

It is no stage of dvc.yaml: the README is written by hand, but for what stands between the
markers `<!-- NAME: generated -->` and `<!-- NAME: end -->`.

Reads   params    params.yaml: lambda and the pair
        metrics   json: the numbers
        grid      csv: the numbers of all cells, to show those of this lambda over seeds
        dag       text: what `dvc dag --md` prints
        diff      text: what `dvc metrics diff` prints for lambda 0.1
Writes  readme    markdown; all outside the markers is kept
"""

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from belong.artefacts import load_csv, save_text
from belong.errors import InputError
from belong.markdown import table
from belong.paper.published import in_order, title
from belong.paper.seeds import by_seed, mean_and_sd
from belong.paper.sweep import detectors
from stages.params.section import read
from stages.program import run

HEADINGS = ("detector", "AUROC", "95 % of resamples", "FPR95", "false rejects", "false accepts")
COLUMNS = ("fpr95", "false_reject", "false_accept")


def main(params: Path, metrics: Path, grid: Path, dag: Path, diff: Path, readme: Path) -> None:
    """Replace what stands between the markers."""
    text = readme.read_text(encoding="utf-8")
    numbers = json.loads(metrics.read_text(encoding="utf-8"))
    text = replaced(text, "results", results(numbers, read(params)))
    text = replaced(text, "seeds", seeds(load_csv(grid), read(params)["lambda"]))
    text = replaced(text, "pipeline", dag.read_text(encoding="utf-8").strip())
    shown = diff.read_text(encoding="utf-8").rstrip().splitlines()
    text = replaced(text, "diff", "\n".join(["```text", *shown, "```"]))
    save_text(readme, text)


def replaced(text: str, name: str, new: str) -> str:
    """Put `new` between the markers `name` of `text`."""
    start, end = f"<!-- {name}: generated -->", f"<!-- {name}: end -->"
    whole, count = re.subn(
        f"({re.escape(start)}\n).*?(\n{re.escape(end)})",
        lambda found: found[1] + new + found[2],
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise InputError(f"README: wanted {start} ... {end} once, got it {count} times")
    return whole


def results(numbers: dict[str, Any], values: dict[str, Any]) -> str:
    """Return the results of the default run: a sentence, a table, a sentence."""
    data, classes, promise = (numbers[key] for key in ("data", "classification", "calibration"))
    normal, anomaly = (Path(values[kind]["path"]).name for kind in ("normal", "anomaly"))
    rows = [
        [
            f"`{name}`",
            f"{measured['auroc']:.4f}",
            f"{measured['auroc_low']:.4f} to {measured['auroc_high']:.4f}",
            *(f"{measured[column]:.4f}" for column in COLUMNS),
        ]
        for name, measured in sorted(
            numbers["detectors"].items(), key=lambda item: -item[1]["auroc"]
        )
    ]
    return "\n".join(
        [
            f"{normal} against {anomaly}, lambda {values['lambda']}, one run (seed "
            f"{values['seed']}): accuracy {classes['accuracy']:.4f} on {classes['n']:,} test "
            f"images; detection on {data['normal_test']:,} normal test images and "
            f"{data['anomaly_test']:,} anomalies.",
            "",
            table(HEADINGS, rows),
            "",
            f"The promise: of the images that belong, {promise['alpha']:.1%} are rejected on "
            f"average, if they are like those that set the threshold. `mahalanobis` rejects "
            f"{promise['false_reject_calibrated']:.2%} (on "
            f"{data['normal_test']:,} images, {promise['false_reject_expected_low']:.2%} to "
            f"{promise['false_reject_expected_high']:.2%} is to be expected). With the paper's "
            f"threshold, taken from the training images, it rejects "
            f"{promise['false_reject_training']:.2%}.",
        ]
    )


def seeds(grid: pd.DataFrame, lambda_: float) -> str:
    """Return the detectors of each pair at one lambda, over its seeds, best mean AUROC first."""
    parts = []
    for pair in in_order(grid["pair"].unique()):
        accuracy = by_seed(grid, pair, lambda_, "classification.accuracy")
        aurocs = {
            name: by_seed(grid, pair, lambda_, f"detectors.{name}.auroc").mean()
            for name in detectors(grid)
        }
        if accuracy.empty:
            continue
        rows = [
            [
                f"`{name}`",
                *(
                    mean_and_sd(by_seed(grid, pair, lambda_, f"detectors.{name}.{number}"))
                    for number in ("auroc", "fpr95", "false_reject")
                ),
            ]
            for name in sorted(aurocs, key=lambda name: -aurocs[name])
        ]
        parts += [
            f"{title(pair)}, lambda {lambda_:g}, mean ± standard deviation (number of seeds): "
            f"accuracy {mean_and_sd(accuracy)}.",
            table(("detector", "AUROC", "FPR95", "false rejects"), rows),
        ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    run(main)
