"""Compute on this machine's processor and on emulated ones, and compare every byte.

    python -m tests.robustness.processors reports/processors.md

writes the page. `--short` takes one processor of another maker, and leaves out the figures, the
backbone and ONNX Runtime. Exit code 1 if bytes differ that are promised to be equal. It needs QEMU
for user programs: `apt-get install qemu-user`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from belong.runtime.exit_codes import exit_code_of
from belong.runtime.storage import save_text
from tests.robustness.processors.emulation import check_emulator, compared, native, run_all
from tests.robustness.processors.inputs import make_inputs
from tests.robustness.processors.page import broken, page


def main(arguments: Sequence[str]) -> int:
    """Run, write the page, say what differs; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.processors")
    parser.add_argument("page", type=Path, help="Markdown file to write")
    parser.add_argument("--short", action="store_true", help="take a minute or two")
    options = parser.parse_args(arguments)
    return exit_code_of(
        lambda: _compare(options.page, is_short=options.short), _say, interrupted="interrupted"
    )


def _compare(path: Path, *, is_short: bool) -> int:
    version = check_emulator()
    processors = compared(native(), is_short=is_short)
    with tempfile.TemporaryDirectory() as top:
        inputs = Path(top, "inputs")
        inputs.mkdir()
        make_inputs(inputs)
        runs = run_all(processors, inputs, Path(top), _say, is_short=is_short)
    save_text(path, page(runs, version))
    lines = broken(runs)
    for line in lines:
        _say(f"other bytes: {line}")
    return int(bool(lines))


def _say(line: str) -> None:
    print(f"processors: {line}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
