"""Measure all rows, and write reports/benchmarks.csv and .md: `python -m benchmarks`.

    python -m benchmarks                      all but the long rows
    python -m benchmarks --long               all
    python -m benchmarks --rows knn-50 features
    python -m benchmarks --quick              tiny sizes, to see that all works

Run it on an idle machine: load on the machine makes the ratios noisy.
"""

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any

from belong.runtime.errors import InputError
from benchmarks.alone import FailedError, measure_alone
from benchmarks.contract import Race, Setting
from benchmarks.machine import described
from benchmarks.registry import LONG, ROWS, SHORT
from benchmarks.runner import LEAST_ROUNDS, run_growth, run_race
from benchmarks.table import growth_row, race_row, save
from benchmarks.threads import compute_with

DESCRIPTION = "Measure our work beside that of named peers, in turns."
WORK = Path("build/benchmarks")
USER_MISTAKE = 2
GROWTH_ROUNDS = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the rows; return the exit code."""
    options = parser().parse_args(arguments)
    try:
        return run(options)
    except InputError as error:
        tell(str(error))
        return USER_MISTAKE


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=DESCRIPTION)
    arguments.add_argument(
        "--rows", nargs="+", choices=ROWS, metavar="NAME", help="these rows only"
    )
    arguments.add_argument(
        "--long", action="store_true", help="also the long rows, an hour or more"
    )
    arguments.add_argument(
        "--list", action="store_true", help="print the names of all rows, and stop"
    )
    arguments.add_argument(
        "--quick", action="store_true", help="tiny sizes, for a test; times are meaningless"
    )
    arguments.add_argument("--rounds", type=int, default=LEAST_ROUNDS, help="default: %(default)s")
    arguments.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="default: the processors"
    )
    arguments.add_argument("--out", type=Path, help="folder for the tables; default: reports")
    return arguments


def run(options: argparse.Namespace) -> int:
    """Run the rows that were asked for, and write the tables after each."""
    if options.list:
        print("\n".join(f"{name}{'  (long)' * (name in LONG)}" for name in ROWS))  # noqa: T201
        return 0
    if options.rounds < 1 or options.threads < 1:
        raise InputError("--rounds, --threads: expected at least 1")
    compute_with(options.threads)
    WORK.mkdir(parents=True, exist_ok=True)
    setting = Setting(options.quick, options.threads, WORK)
    out = options.out or (WORK / "quick" if options.quick else Path("reports"))
    about = {"threads": options.threads, "machine": described(options.threads)}
    start = time.perf_counter()
    failed = []
    for name in options.rows or (ROWS if options.long else SHORT):
        try:
            races, growths = run_row(name, setting, options.rounds, about)
        except (InputError, FailedError) as error:  # the other rows are still measured
            tell(f"{name}: {error}")
            failed.append(name)
        else:
            save(out, races, growths, list(ROWS))
    tell(f"{out}: written after {time.perf_counter() - start:.0f} s")
    if failed:
        tell(f"not measured, see above: {', '.join(failed)}")
    return USER_MISTAKE if failed else 0


def run_row(
    name: str, setting: Setting, rounds: int, about: dict[str, Any]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Measure one row; return its lines of the table of races, and of the table of growth.

    Raises:
        FailedError, InputError: it could not be measured.
    """
    tell(f"{name}: preparing")
    prepared = ROWS[name](setting)
    alone = partial(measure_alone, name, setting=setting, turn=Lock())
    if isinstance(prepared, Race):
        races = []
        for outcome in run_race(name, prepared, rounds=rounds, alone=alone, tell=tell):
            ratio = outcome.ratio.median if outcome.ratio else None
            tell(in_words(outcome.peer, ratio, outcome.note))
            races.append(race_row(outcome, **about))
        return races, []
    growth = run_growth(name, prepared, rounds=min(GROWTH_ROUNDS, rounds), alone=alone, tell=tell)
    return [], [growth_row(one, **about) for one in growth]


def in_words(peer: str, ratio: float | None, note: str) -> str:
    """Return one result in words, for the progress lines."""
    if ratio is None:
        return f"  {peer or 'ours alone'}: {note or 'done'}"
    return f"  {ratio:.3g} of the time of {peer}"


def tell(text: str) -> None:
    """Print the progress on standard error."""
    print(f"benchmarks: {text}", file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
