"""Compare the results of a run with the committed ones; `make` does so after `dvc repro`.

    python -m belong.commands.verify.compare . reports/threads/differences.csv

Reads   root     the folder of the pipeline: its files, and their committed versions
        spread   csv: `metric`, and `tolerance`: the difference that two seeds stay within in 95 of
                 100 cases
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from belong.commands.verify.dvc_lock import uncached
from belong.commands.verify.git import PARAMS, REPORT, changed, git
from belong.evaluation.run_comparison import compare, leaves
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.storage import load_csv
from belong.runtime.text import counted, on_stderr, say
from belong.runtime.typed_yaml import read


def describe(root: Path, spread: Path) -> str:
    """Return the difference between this run and the committed one in one line.

    The text is empty if nothing is committed.

    Raises:
        InputError: a file cannot be read.
    """
    try:
        paths = changed(root)
    except InputError:  # no git repository, or no commit yet
        return ""
    if not (results := [path for path in paths if path != REPORT]):
        but = f", except {REPORT}, which shows the times of this run" if paths else ""
        return f"your run equals the committed one, byte for byte{but}"
    start = "your run differs from the committed one"
    end = f"{counted(len(results), 'file')} changed; `make undo` restores the committed state"
    if PARAMS in paths and (keys := _other_parameters(root)):
        return f"{start}: other parameters ({', '.join(keys)}); {end}"
    table = load_csv(spread, "metric", "tolerance")
    names = sorted(name for name in uncached(root) if name.endswith(".json"))
    metrics = compare(
        _merged((root / name).read_text(encoding="utf-8") for name in names),
        _merged(git(root, "show", f"HEAD:./{name}") for name in names if name in _committed(root)),
        spread=dict(zip(table["metric"], table["tolerance"], strict=True)),
    )
    return f"{start}: {metrics}; {end}"


def _other_parameters(root: Path) -> list[str]:
    """Return the keys of params.yaml whose value differs from the committed one."""
    committed = YAML(typ="safe", pure=True).load(git(root, "show", f"HEAD:./{PARAMS}"))
    ours, theirs = dict(leaves(read(root / PARAMS))), dict(leaves(committed))
    return [key for key in {**theirs, **ours} if ours.get(key) != theirs.get(key)]


def _committed(root: Path) -> list[str]:
    return git(root, "ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0")


def _merged(texts: Iterable[str]) -> dict[str, Any]:
    return {key: value for text in texts for key, value in json.loads(text).items()}


def main(root: Path, spread: Path) -> int:
    """Print the difference; return the exit code."""

    def work() -> int:
        if line := describe(root, spread):
            on_stderr(line)
        return 0

    return exit_code_of(work, say)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
