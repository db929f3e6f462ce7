"""Write the generated parts of README.md and docs/: `make readme`.

This is not a stage of dvc.yaml: the pages are written by hand, except the parts between the markers
`<!-- NAME: generated -->` and `<!-- NAME: end -->`.

Reads   params    params.yaml: lambda and the pair
        metrics   json: the numbers
        sets      csv: the numbers of each detector on each set of anomalies
        grid      csv: the numbers of all cells, to show those of this lambda over seeds
        threads   csv: the differences between numbers of threads
        cleaning  csv: the findings of `belong clean`
        frozen, full_size  csv: the cells of the photo study
        dag       text: the output of `dvc dag --dot`
        diff      text: the output of `dvc metrics diff` for lambda 0.1
Writes  readme    README.md, and docs/ beside it; everything outside the markers is kept
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from belong.calibration.coverage import COMBINED, expected, outside
from belong.commands.fit.plan import PHOTO_LAMBDA
from belong.reporting.report import run_summary
from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv, save_text
from belong.runtime.text import percent, percent_of, table
from belong.runtime.typed_yaml import read
from reproduction.clean_study.page import summary as of_cleaning
from reproduction.markers import replaced
from reproduction.paper.lambda_sweep import detectors
from reproduction.paper.published import in_order, title
from reproduction.paper.seed_statistics import by_seed, mean_and_sd
from reproduction.photo_study.parts import ANOMALIES, FULL_SIZE, PARTS
from reproduction.pipeline_figure import drawing
from reproduction.threads.page import summary
from reproduction.threads.tolerance import COLUMNS as OF_THREADS
from stages.runner import run

HEADINGS = ("detector", "AUROC", "95% of resamples", "FPR95", "false rejects", "false accepts")
COLUMNS = ("fpr95", "false_reject", "false_accept")
SHORT_HEADINGS = ("detector", "method", "AUROC", "FPR95", "false rejects")
PHOTO_HEADINGS = (
    "photos", "training photos", "accuracy", "AUROC, near", "AUROC, far", "false rejects",
    "near anomalies accepted",
)  # fmt: skip
PHOTO_NAMES = {
    FULL_SIZE: "clothes; near: other clothes, far: groceries",
    **{
        f"cifar10-{part}": f"CIFAR-10: {', '.join(PARTS[part])}; near: {', '.join(PARTS[near])}, "
        "far: FashionMNIST"
        for part, near in ANOMALIES.items()
    },
}
# In the README: the default, the paper's and two baselines; and the paper's supervised detector.
FEW = {
    "combined": "several detectors together, the default",
    "mahalanobis": "Mahalanobis distance per class (paper A)",
    "feature_knn": "k nearest neighbors",
    "msp": "softmax probability (baseline)",
}
SUPERVISED = {"mlp_head": "supervised head, trained with such anomalies; not in `combined`"}  # last


def main(
    params: Path,
    metrics: Path,
    sets: Path,
    grid: Path,
    threads: Path,
    cleaning: Path,
    frozen: Path,
    full_size: Path,
    dag: Path,
    diff: Path,
    readme: Path,
) -> None:
    """Replace what stands between the markers."""
    if not grid.exists():  # no stage makes it: `dvc repro` would not
        raise InputError(f"{grid}: no such file; run `make grid`")
    root = readme.parent
    numbers, values = json.loads(metrics.read_text(encoding="utf-8")), read(params)
    diff_lines = diff.read_text(encoding="utf-8").rstrip().splitlines()
    parts = {
        "README.md": {
            "results": few_results(numbers, values),
            "photo-results": photo_results([load_csv(frozen), load_csv(full_size)]),
        },
        "docs/results.md": {
            "all-results": results(numbers, values),
            "seeds": seeds(load_csv(grid), values["lambda"]),
        },
        "docs/detectors.md": {"detector-numbers": detector_numbers(numbers, load_csv(sets))},
        "docs/reproducibility.md": {"threads": summary(load_csv(threads, *OF_THREADS))},
        "docs/commands/clean.md": {"cleaning": of_cleaning(load_csv(cleaning))},
        "docs/pipeline.md": {
            "pipeline": "![The stages of the pipeline](pipeline.svg)",
            "stages": stages(root / "dvc.yaml", root / "data" / "dvc.yaml"),
            "diff": "\n".join(["```text", *diff_lines, "```"]),
        },
    }
    for name, blocks in parts.items():
        page = root / name
        text = page.read_text(encoding="utf-8")
        for block, new in blocks.items():
            text = replaced(text, block, new)
        save_text(page, text)
    save_text(root / "docs" / "pipeline.svg", drawing(dag.read_text(encoding="utf-8")))


def detector_numbers(numbers: dict[str, Any], sets: pd.DataFrame) -> str:
    """Return the metrics of each detector, and its mean AUROC on other kinds of anomalies."""
    others = sets[sets["anomalies"] != "anomaly"].groupby("detector")["auroc"].mean()
    rows = [
        [
            f"`{name}`",
            *(f"{measured[key]:.4f}" for key in ("auroc", *COLUMNS)),
            f"{others[name]:.4f}",
        ]
        for name, measured in sorted(numbers["detectors"].items())
    ]
    return table(("detector", "AUROC", *HEADINGS[3:], "AUROC, other kinds"), rows)


def stages(*pipelines: Path) -> str:
    """Return a table of the stages with their descriptions."""
    rows = [
        (f"`{name}`", stage.get("desc") or stage["do"]["desc"])
        for pipeline in reversed(pipelines)
        for name, stage in read(pipeline)["stages"].items()
    ]
    return table(("stage", "what it does"), rows, left=2)


def few_results(numbers: dict[str, Any], values: dict[str, Any]) -> str:
    """Return the README's results: a sentence, and a row for each of FEW, best AUROC first."""
    measured = numbers["detectors"]
    few = sorted(FEW.keys() & measured.keys(), key=lambda name: -measured[name]["auroc"])
    rows = [
        [
            f"`{name}`",
            (FEW | SUPERVISED)[name],
            "{auroc:.4f} ({auroc_low:.4f} to {auroc_high:.4f})".format(**measured[name]),
            *(f"{measured[name][key]:.4f}" for key in ("fpr95", "false_reject")),
        ]
        for name in [*few, *(SUPERVISED.keys() & measured.keys())]
    ]
    title = run_summary.title(values["normal"], values["anomaly"])
    return "\n".join(
        [
            f"The default run of the pipeline, {title} (normal images against anomalies): accuracy "
            f"{numbers['classification']['accuracy']:.4f} on {numbers['data']['normal_test']:,} "
            f"normal test images; AUROC against {numbers['data']['anomaly_test']:,} anomalies, "
            f"with its 95% interval; promised false-rejection rate "
            f"{percent_of(numbers['calibration']['alpha'])}.",
            "",
            table(SHORT_HEADINGS, rows, left=2),
        ]
    )


def photo_results(tables: Sequence[pd.DataFrame]) -> str:
    """Return the results of `combined` on photos, a row for each set of photos."""
    cells = pd.concat(tables, ignore_index=True)
    cells = cells[cells["lambda"] == PHOTO_LAMBDA]
    rows = []
    for pair, name in PHOTO_NAMES.items():
        group = cells[cells["pair"] == pair]
        numbers = [
            mean_and_sd(group[column])
            for column in (
                "classification.accuracy",
                *(
                    f"detectors.{COMBINED}.{key}"
                    for key in ("auroc", "far_auroc", "false_reject", "false_accept")
                ),
            )
        ]
        rows.append([name, f"{group['data.normal_train'].iloc[0]:,}", *numbers])
    return table(PHOTO_HEADINGS, rows)


def results(numbers: dict[str, Any], values: dict[str, Any]) -> str:
    """Return the results of the default run: a sentence, a table, a sentence."""
    data, classes = numbers["data"], numbers["classification"]
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
            f"{run_summary.title(values['normal'], values['anomaly'])}, "
            f"lambda {values['lambda']}, one run (seed {values['seed']}): "
            f"accuracy {classes['accuracy']:.4f} on {classes['n']:,} test images; detection "
            f"on {data['normal_test']:,} normal test images and "
            f"{data['anomaly_test']:,} anomalies.",
            "",
            table(HEADINGS, rows),
            "",
            promised(numbers, values["calibration"]["threshold"]),
        ]
    )


def promised(numbers: dict[str, Any], threshold: str) -> str:
    """Return what the threshold in force promises, and how many detectors keep the promise."""
    promise, n = numbers["calibration"], numbers["data"]["normal_test"]
    calibrated, training = (
        percent(promise[f"false_reject_{kind}"], 3) for kind in ("calibrated", "training")
    )
    low, high = promise["false_reject_expected_low"], promise["false_reject_expected_high"]
    usual = f"on {n:,} images, {percent(low, 3)} to {percent(high, 3)} are expected"
    if threshold == "training":
        return (
            "In force is the paper's threshold, taken from the training images, for the detectors "
            f"that have one there; it promises nothing for new ones: `mahalanobis` rejects "
            f"{training}. Calibrated on held-out images it would reject {calibrated} ({usual})."
        )
    measured = [name for name, one in numbers["detectors"].items() if "false_reject" in one]
    off = outside(numbers)
    named = ", ".join(f"`{name}` ({percent(rate, 3)})" for name, rate in sorted(off.items()))
    half = " to ".join(percent(end, 3) for end in expected(COMBINED, promise, n))
    return (
        f"The promise: {percent_of(promise['alpha'])} of the images that belong are rejected on "
        f"average over such runs, if they are like the images that set the threshold ({usual}, or "
        f"{half} for `{COMBINED}`, which half as many images calibrate). "
        f"{len(measured) - len(off)} of {len(measured)} detectors are within their range"
        f"{f'; outside it are {named}' if off else ''}. `mahalanobis` rejects {calibrated}; with "
        f"the paper's threshold, taken from the training images, it rejects {training}."
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
            for name in sorted(aurocs, key=lambda name: -np.nan_to_num(aurocs[name]))
        ]
        parts += [
            f"{title(pair)}, lambda {lambda_:g}, mean ± standard deviation (number of seeds): "
            f"accuracy {mean_and_sd(accuracy)}.",
            table(("detector", "AUROC", "FPR95", "false rejects"), rows),
        ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    run(main)
