"""Provoke every fault and write the answers into a table.

    python -m tests.robustness.faults reports/faults.md


The exit code is 1 if a promise was not kept. A small model to score with is made first.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from belong.runtime.storage import save_text
from tests.robustness.faults.fault import answer_to
from tests.robustness.faults.table import FAULTS, markdown
from tests.small_bundle import make_bundle


def main(table: Path) -> int:
    """Provoke the faults, save the table, and print the broken promises."""
    answers, broken = [], 0
    with tempfile.TemporaryDirectory() as top:
        (Path(top) / "made").mkdir()
        model = make_bundle(Path(top) / "made")
        for number, fault in enumerate(FAULTS.values()):
            folder = Path(top, f"{number}")
            folder.mkdir()
            answer = answer_to(fault, folder, model)
            answers.append((fault, answer))
            if not answer.keeps(fault) or answer.lost_files or answer.left_files:
                broken += 1
                print(f"{fault.name}: {fault.promise}; came: {answer}", file=sys.stderr)  # noqa: T201
    save_text(table, markdown(answers))
    return int(broken > 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.faults")
    parser.add_argument("table", type=Path, help="Markdown file to write")
    sys.exit(main(parser.parse_args().table))
