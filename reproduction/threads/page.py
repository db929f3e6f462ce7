"""Write the effect of the thread count on the results: `reports/threads/README.md`."""

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
        "# Effect of the thread count",
        "",
        _result(differences),
        "",
        "Written by the stage `study_threads` from [grid.csv](grid.csv) and "
        "[params.yaml](params.yaml), which has the command to repeat the study. "
        "[differences.csv](differences.csv) has the numbers.",
        "",
        "A different thread count changes the order of summation, and so the last bits of the "
        "results. Training amplifies such differences: it yields a different network, as a "
        "different seed would. The same pipeline was run with each thread count and the same seeds "
        "on one machine. Other processors were not measured.",
        "",
        "The tolerance is the effect of the seed, and was fixed before the runs. Two runs that "
        f"differ only in the seed differ by less than the tolerance in {SHARE:.0%} of all cases. "
        "For normally distributed metrics it is Student's t, times √2, times the standard "
        "deviation over the seeds, plus 0.0001 for the rounding to four decimals. Tolerance, mean "
        "and standard deviation come from the runs with "
        f"{_threads(differences['threads'].iloc[0])} only. The last column has the number of "
        "seeds with a difference within the tolerance. The metrics of a run are not independent: a "
        "worse network affects most detectors.",
    ]
    for _, rows in differences.groupby("other_threads", sort=False):
        table_rows = [_row(row) for row in rows.to_dict("records")]
        parts += ["", f"## {_title(rows)}", "", summary(rows), "", table(OF_METRICS, table_rows)]
    return "\n".join([*parts, ""])


def _result(differences: pd.DataFrame) -> str:
    """Say whether the thread count has a larger effect than the seed."""
    share = differences["within"].sum() / differences["seeds"].sum()
    effect = "no larger than" if share >= SHARE else "larger than"
    return (
        f"**Result.** The effect of another thread count is {effect} that of another seed: "
        f"{share:.1%} of the differences are within the tolerance, which holds {SHARE:.0%} of the "
        "differences between two seeds."
    )


def summary(differences: pd.DataFrame) -> str:
    """Return a paragraph with the largest differences and the share within the tolerance.

    Args:
        differences: see `tolerance.COLUMNS`; all with the same two thread counts.
    """
    largest: dict[str, float] = dict(
        zip(differences["metric"], differences["largest"], strict=True)
    )
    most = [f"the accuracy differs by at most {largest[ACCURACY]:.4f}"]
    for number in OF_DETECTORS:
        of_number = {name: one for name, one in largest.items() if name.endswith(f".{number}")}
        worst = max(of_number, key=lambda name: of_number[name])
        most.append(f"{WORDS[number]} by {of_number[worst]:.4f} (`{worst.split('.')[1]}`)")
    seeds = " to ".join(map(str, sorted(set(differences["seeds"].agg(["min", "max"])))))
    compared, within = differences["seeds"].sum(), differences["within"].sum()
    sentence = (
        f"{_title(differences)}, {seeds} seeds: {', '.join(most)}. Of {compared} comparisons "
        f"({len(differences)} metrics with each seed), {within} are within the tolerance "
        f"({within / compared:.1%}; expected for a different seed: {SHARE:.0%})"
    )
    if beyond := outside(differences).to_dict("records"):
        row = max(beyond, key=lambda row: row["largest"] / row["tolerance"])
        sentence += (
            f"; the largest excess is that of {_words(row['metric'])}: {row['largest']:.4f}, with "
            f"a tolerance of {row['tolerance']:.4f}"
        )
    return f"{sentence}."


def _row(row: Mapping[Hashable, Any]) -> list[str]:
    numbers = ("mean", "sd", "tolerance", "largest")
    formatted = (f"{row[number]:.4f}" for number in numbers)
    return [_words(row["metric"]), *formatted, f"{row['within']} of {row['seeds']}"]


def _words(metric: str) -> str:
    """Return the name of a metric in words: `energy` AUROC."""
    if metric == ACCURACY:
        return "accuracy"
    _, name, number = metric.split(".")
    return f"`{name}` {WORDS[number]}"


def _title(differences: pd.DataFrame) -> str:
    first, other = differences[["threads", "other_threads"]].iloc[0]
    return f"{_threads(other)} instead of {first}"


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"
