"""Repair the files of a killed DVC run; `make` does so before `dvc repro`.

    python -m belong.commands.verify.repair .

DVC writes dvc.lock in place. If the file is cut off, DVC refuses to run, or runs the missing stages
again. A stage cannot repair this file, so the repair is a program of its own. A stage that runs
again repairs everything else.

Reads   root   the folder of the pipeline
Writes  root   a dvc.lock that is cut off becomes the committed one; temporary files of killed
               processes below data/ and reports/ are removed
"""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from belong.commands.verify.dvc_lock import NAME, cut_off, refused
from belong.commands.verify.git import git
from belong.prediction.manifest import IntegrityError
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.text import printable, say

PART = re.compile(r"\..+\.(\d+)\.part")  # a temporary file of belong.runtime.storage
WRITTEN = ("data", "reports")  # folders of the pipeline that stages write to


def mend(root: Path) -> int:
    """Restore each dvc.lock that is cut off, and remove temporary files; do nothing while DVC runs.

    Each change is reported in a line.

    Raises:
        IntegrityError: a dvc.lock is cut off, and git has no committed version.
    """
    with alone(root) as is_alone:
        if not is_alone:  # DVC may be writing now, and `dvc repro` reports that it is running
            return 0
        for lock in restore_locks(root):
            say(f"{printable(lock)}: was cut off; restored the committed version")
        for part in _orphans(root):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
            say(f"{printable(part)}: removed, as a killed process left it incomplete")
    return 0


def restore_locks(root: Path) -> Iterator[Path]:
    """Restore each dvc.lock of a folder that is cut off, and yield its path.

    Raises:
        IntegrityError: a dvc.lock is cut off, and git has no committed version.
    """
    for lock in sorted([*root.glob(NAME), *root.glob(f"*/{NAME}")]):
        if error := refused(lock) or cut_off(lock, _committed(lock)):
            _restore(lock, error)
            yield lock


def _committed(lock: Path) -> str:
    """Return the committed text of a file; empty if there is none."""
    try:
        return git(lock.parent, "show", f":./{lock.name}")
    except InputError:
        return ""


def _restore(lock: Path, error: IntegrityError) -> None:
    try:
        git(lock.parent, "restore", "--", lock.name)
    except InputError:
        raise error from None


def _orphans(root: Path) -> Iterator[Path]:
    """Yield the temporary files and folders whose process has ended."""
    for folder in WRITTEN:
        for path in sorted((root / folder).rglob(".*.part")):
            number = PART.fullmatch(path.name)
            if number and not psutil.pid_exists(int(number[1])):
                yield path


@contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Hold DVC's own lock on a folder; yield False if DVC is running there."""
    path = root / ".dvc" / "tmp" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, blocking=False):
            yield True
    except Timeout:
        yield False


def main(root: Path) -> int:
    """Repair the folder; return the exit code."""
    return exit_code_of(lambda: mend(root), say)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
