"""Write what another count of threads changes: for `reports/threads/README.md` and the README."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from belong.runtime.text import table
from reproduction.paper.lambda_sweep import ACCURACY
from reproduction.threads.tolerance import OF_DETECTORS, SHARE, outside

WORDS = {"auroc": "AUROC", "fpr95": "FPR95", "false_reject": "false rejects"}
OF_METRICS = ("metric", "mean", "standard deviation", "tolerance", "largest difference", "within")


def page(differences: pd.DataFrame) -> str:
    """Return the page.

    Args:
        differences: see `reproduction.threads.tolerance.COLUMNS`.
    """
    parts = [
        "# Another count of threads",
        "",
        "Made by the stage `study_threads` from [grid.csv](grid.csv) and "
        "[params.yaml](params.yaml), which says how to run it again; the numbers are those of "
        "[differences.csv](differences.csv).",
        "",
        "The count of threads decides in which order numbers are added. The last bits then differ, "
        "and training makes more of them. The same pipeline was run with each count and the same "
        "seeds on one machine. Another processor may add in another order, too: that was not "
        "measured.",
        "",
        "The tolerance is what another seed does, and was fixed before the runs. Two that differ "
        f"in nothing but the seed lie within it of each other in {SHARE:.0%} of all cases: "
        "Student's t, for numbers that are normally distributed, times √2, times the standard "
        "deviation over the seeds, and 0.0001 for four decimals. It is taken from the runs with "
        f"{_threads(differences['threads'].iloc[0])} alone, as are mean and standard deviation. "
        "The last column says with how many seeds the difference is within it. The metrics of a "
        "run are not independent: where one network is worse than the other, most detectors see "
        "it.",
    ]
    for _, rows in differences.groupby("other_threads", sort=False):
        shown = [_row(row) for row in rows.to_dict("records")]
        parts += ["", f"## {_title(rows)}", "", summary(rows), "", table(OF_METRICS, shown)]
    return "\n".join([*parts, ""])


def summary(differences: pd.DataFrame) -> str:
    """Return a paragraph: by how much the metrics differ at most, and how many are within.

    Args:
        differences: see `tolerance.COLUMNS`; all with the same two counts of threads.
    """
    largest: dict[str, float] = dict(
        zip(differences["metric"], differences["largest"], strict=True)
    )
    most = [f"the accuracy differs by {largest[ACCURACY]:.4f} at most"]
    for number in OF_DETECTORS:
        of_number = {name: one for name, one in largest.items() if name.endswith(f".{number}")}
        worst = max(of_number, key=lambda name: of_number[name])
        most.append(f"{WORDS[number]} by {of_number[worst]:.4f} (`{worst.split('.')[1]}`)")
    seeds = " to ".join(map(str, sorted(set(differences["seeds"].agg(["min", "max"])))))
    compared, within = differences["seeds"].sum(), differences["within"].sum()
    said = (
        f"{_title(differences)}, over {seeds} seeds: {', '.join(most)}. Of {compared} comparisons, "
        f"{len(differences)} metrics with each seed, {within} are within the tolerance "
        f"({within / compared:.1%}; another seed would have {SHARE:.0%})"
    )
    if beyond := outside(differences).to_dict("records"):
        row = max(beyond, key=lambda row: row["largest"] / row["tolerance"])
        said += (
            f"; farthest beyond it is {_words(row['metric'])}, {row['largest']:.4f} where "
            f"{row['tolerance']:.4f} is the tolerance"
        )
    return f"{said}."


def _row(row: Mapping[Hashable, Any]) -> list[str]:
    numbers = ("mean", "sd", "tolerance", "largest")
    shown = (f"{row[number]:.4f}" for number in numbers)
    return [_words(row["metric"]), *shown, f"{row['within']} of {row['seeds']}"]


def _words(metric: str) -> str:
    """Return the name of a metric for people: `energy` AUROC."""
    if metric == ACCURACY:
        return "accuracy"
    _, name, number = metric.split(".")
    return f"`{name}` {WORDS[number]}"


def _title(differences: pd.DataFrame) -> str:
    first, other = differences[["threads", "other_threads"]].iloc[0]
    return f"{_threads(other)} in the place of {first}"


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"
