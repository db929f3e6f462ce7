"""Try over 100,000 spoiled inputs, and write down what came of them.

    python -m tests.robustness.fuzz reports/fuzz.csv [SHARE]

SHARE of the inputs are tried (default: 1, all). Of each fault the input is kept in build/fuzz,
and the exit code is 1. A row for each reader: how many inputs it read, how many it refused in the
words that it should, and its faults: anything else raised, more than 10 seconds of the processor,
a process that ended, more than 1 GiB of memory.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd

from belong.runtime.storage import save_csv
from tests.robustness.fuzz.mutations import mutated
from tests.robustness.fuzz.readers import READERS

SEED = 0
PIECE = 5_000  # inputs for each process
KEPT = Path("build") / "fuzz"


def run(reader: str, inputs: int) -> dict[str, Any]:
    """Return the row of one reader."""
    row: dict[str, Any] = {"reader": reader, "inputs": inputs, "read": 0, "refused": 0, "faults": 0}
    first = 0
    while first < inputs:
        last = min(first + PIECE, inputs)
        with tempfile.TemporaryDirectory() as folder:
            words = [reader, SEED, first, last, folder]
            process = subprocess.run(
                [sys.executable, "-m", "tests.robustness.fuzz.worker", *map(str, words)],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if process.returncode == 0:
                counts = json.loads(process.stdout)
                first = last
            else:  # this one ended the process; what was counted of the others is counted anew
                failing = int((Path(folder) / "number").read_text())
                say = (process.stderr.splitlines() or [""])[-1]
                counts = _counted(reader, first, failing)
                counts["faults"][failing] = f"the process ended with {process.returncode}: {say}"
                first = failing + 1
        for number, fault in counts["faults"].items():
            _keep(reader, int(number), fault)
        row["faults"] += len(counts["faults"])
        for name in ("read", "refused"):
            row[name] += counts[name]
        print(f"{reader}: {first} of {inputs}; {counts}", file=sys.stderr)  # noqa: T201
    return row


def _counted(reader: str, first: int, last: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        words = [reader, SEED, first, last, folder]
        process = subprocess.run(
            [sys.executable, "-m", "tests.robustness.fuzz.worker", *map(str, words)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    counts: dict[str, Any] = json.loads(process.stdout)
    return counts


def _keep(reader: str, number: int, fault: str) -> None:
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / f"{reader}-{number}").write_bytes(mutated(READERS[reader].seeds(), number, seed=SEED))
    print(f"{reader} {number}: {fault}", file=sys.stderr)  # noqa: T201


def main(to: Path, share: float) -> int:
    """Try all, save the table, say whether there was a fault."""
    shutil.rmtree(KEPT, ignore_errors=True)
    rows = [run(name, max(1, round(share * one.inputs))) for name, one in READERS.items()]
    table = pd.DataFrame(rows)
    save_csv(to, table)
    return int(table["faults"].sum() > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.fuzz")
    parser.add_argument("table", type=Path, help="CSV file to write")
    parser.add_argument("share", type=float, nargs="?", default=1.0, help="of all inputs")
    arguments = parser.parse_args()
    sys.exit(main(arguments.table, arguments.share))
