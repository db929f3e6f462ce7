"""Profile our own code: `python -m benchmarks.profile`.

    python -m benchmarks.profile                     the rows that a limit is set beside
    python -m benchmarks.profile --rows knn-50

Writes reports/benchmarks_profile.csv, operator by operator; reports/benchmarks_parts.csv, of a
program what it does, each by itself, and of the pipeline its stages; and .md with both. torch's
profiler slows the work down; the shares say where the time goes, `python -m benchmarks` says how
much it is.
"""

import argparse
import json
import os
import sys
from pathlib import Path

import pandas as pd
from torch.profiler import ProfilerActivity, profile

from belong.runtime.storage import save_csv, save_text
from belong.runtime.text import table
from benchmarks.contract import Race, Setting
from benchmarks.registry import ROWS
from benchmarks.threads import compute_with
from benchmarks.timing import seconds_of

WITH_LIMIT = (
    "train-epoch", "features", "mahalanobis-score-84", "mahalanobis-score-1280", "knn-50", "knn-84",
    "score-folder", "score-photos", "score-camera",
)  # fmt: skip
TIMES = Path("data/times")  # each stage of the pipeline leaves here how long it took
NO_OPERATORS = pd.DataFrame(columns=["what", "operator", "calls", "share"])
WORK, REPORTS = Path("build/benchmarks"), Path("reports")
SHOWN = 12  # operators of a row; the others are added up
OTHERS = "others"
HEADINGS = ("work", "operator", "calls", "share of the time")
PARTS_HEADINGS = ("work", "part", "s")
WHOLE = "all of it"


def main(arguments: list[str] | None = None) -> int:
    """Profile the rows; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile",
        description="Profile our own code, operator by operator.",
    )
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", default=WITH_LIMIT)
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, for a test; shares are meaningless"
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=REPORTS)
    options = parser.parse_args(arguments)
    compute_with(options.threads)
    WORK.mkdir(parents=True, exist_ok=True)
    setting = Setting(options.quick, options.threads, WORK)
    operators: list[pd.DataFrame] = []
    parts = [of_stages(TIMES)]
    for name in options.rows:
        print(f"benchmarks: {name}", file=sys.stderr, flush=True)  # noqa: T201
        prepared = ROWS[name](setting)
        if isinstance(prepared, Race) and prepared.parts:
            parts.append(by_part(prepared))
        elif isinstance(prepared, Race):
            operators.append(by_operator(prepared))
    profiles = pd.concat(operators, ignore_index=True) if operators else NO_OPERATORS
    pieces = pd.concat(parts, ignore_index=True)
    save_csv(options.out / "benchmarks_profile.csv", profiles)
    save_csv(options.out / "benchmarks_parts.csv", pieces)
    save_text(options.out / "benchmarks_profile.md", page(profiles, pieces, options.threads))
    return 0


def by_part(race: Race) -> pd.DataFrame:
    """Do all of our work, and then each part of it by itself: what, part, seconds."""
    seconds = {WHOLE: seconds_of(lambda: race.ours(0))}
    seconds |= {name: seconds_of(work) for name, work in race.parts.items()}
    return pd.DataFrame(
        {"what": race.what, "part": list(seconds), "seconds": list(seconds.values())}
    )


def of_stages(times: Path) -> pd.DataFrame:
    """Return what the last `dvc repro` here says of its stages, the longest first, as above."""
    seconds = {
        file.stem: json.loads(file.read_text("utf-8"))["seconds"] for file in times.glob("*.json")
    }
    rows = [
        ("dvc repro, each stage without its start", name, seconds[name])
        for name in sorted(seconds, key=lambda name: -seconds[name])
    ]
    return pd.DataFrame(rows, columns=["what", "part", "seconds"])


def by_operator(race: Race) -> pd.DataFrame:
    """Do our work once to warm up and once under the profiler.

    Returns:
        A row for each operator, the longest first: what, operator, calls, share of the seconds
        that operators spent themselves, in none that they called; the last row adds up the rest.
    """
    race.ours(0)
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        race.ours(1)
    spent = pd.DataFrame(
        [(one.key, one.count, one.self_cpu_time_total) for one in recorded.key_averages()],
        columns=["operator", "calls", "share"],
    )
    spent["share"] /= spent["share"].sum()
    spent = spent.sort_values("share", ascending=False, kind="stable", ignore_index=True)
    longest, rest = spent.iloc[:SHOWN], spent.iloc[SHOWN:]
    others = {"operator": [OTHERS], "calls": [rest["calls"].sum()], "share": [rest["share"].sum()]}
    table = pd.concat([longest, pd.DataFrame(others)], ignore_index=True)
    table.insert(0, "what", race.what)
    return table


def _longest(profiles: pd.DataFrame) -> str:
    """Return the operator with the largest share of each work, in words."""
    named_operators = profiles[profiles["operator"] != OTHERS]
    longest = named_operators.loc[named_operators.groupby("what", sort=False)["share"].idxmax()]
    return "; ".join(
        f"`{row['operator']}` ({row['share']:.0%}) in {row['what']}"
        for _, row in longest.iterrows()
    )


def page(profiles: pd.DataFrame, parts: pd.DataFrame, threads: int) -> str:
    """Return the page: Markdown."""
    cells = [
        [row["what"], f"`{row['operator']}`", f"{row['calls']:,}", f"{row['share']:.1%}"]
        for _, row in profiles.iterrows()
    ]
    pieces = [[row["what"], row["part"], f"{row['seconds']:.3g}"] for _, row in parts.iterrows()]
    return "\n".join(
        [
            "# Where our time goes",
            "",
            f"**Result.** The operator that takes the most time: {_longest(profiles)}.",
            "",
            f"Generated by `python -m benchmarks.profile`, on {threads} threads. The time of an "
            "operator excludes that of the operators that it calls.",
            "",
            table(HEADINGS, cells, left=2),
            "",
            "## Part by part",
            "",
            "Each part runs alone on the machine. Together they take less than the sum, because "
            "they run in parallel. The stages ran one after the other, with the number of threads "
            "in params.yaml.",
            "",
            table(PARTS_HEADINGS, pieces, left=2),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
