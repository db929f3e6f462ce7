"""Mend what a kill of DVC left; `make` does it before `dvc repro`.

    python -m belong.commands.verify.mend .

It is no stage of dvc.yaml: DVC reads a dvc.lock before it runs any.

Reads   root   the folder of the pipeline
Writes  root   a dvc.lock that is cut off: the committed one; what killed processes left half
               written below data/ and reports/ is removed
"""

import sys
from pathlib import Path

from belong.commands.verify.repair import mend
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.text import say


def main(root: Path) -> int:
    """Mend; return the exit code."""

    def work() -> int:
        mend(root, say)
        return 0

    return exit_code_of(work, say)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
