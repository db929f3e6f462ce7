"""Mend what a kill of DVC left; `make` does it before `dvc repro`.

    python -m belong.commands.verify.mend .

It is no stage of dvc.yaml: DVC writes dvc.lock in place. If the file is cut off, DVC either refuses
to run anything, or takes the stages behind the cut for stages that were never run. What else a kill
leaves is mended by the stage that runs again, if it does.

Reads   root   the folder of the pipeline
Writes  root   a dvc.lock that is cut off: the committed one; what killed processes left half
               written below data/ and reports/ is removed
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

PART = re.compile(r"\..+\.(\d+)\.part")  # of the process that writes it: belong/runtime/storage.py
WRITTEN = ("data", "reports")  # folders of the pipeline that stages write to


def mend(root: Path) -> int:
    """Bring back what is cut off, and remove what nobody will finish; nothing, while DVC runs.

    Each is said in a line.

    Raises:
        IntegrityError: a dvc.lock is cut off, and git has no committed one.
    """
    with alone(root) as is_alone:
        if not is_alone:  # it may be writing right now, and says itself that it runs
            return 0
        for lock in brought_back(root):
            say(f"{printable(lock)}: was cut off; the committed one is back")
        for part in _left(root):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
            say(f"{printable(part)}: removed; a killed process left it half written")
    return 0


def brought_back(root: Path) -> Iterator[Path]:
    """Restore each dvc.lock of a folder that is cut off, and yield its path.

    Raises:
        IntegrityError: a dvc.lock is cut off, and git has no committed one.
    """
    for lock in sorted([*root.glob(NAME), *root.glob(f"*/{NAME}")]):
        if wrong := refused(lock) or cut_off(lock, _committed(lock)):
            _restore(lock, wrong)
            yield lock


def _committed(lock: Path) -> str:
    """Return the text that `git restore` would bring back; empty if there is none."""
    try:
        return git(lock.parent, "show", f":./{lock.name}")
    except InputError:
        return ""


def _restore(lock: Path, wrong: IntegrityError) -> None:
    try:
        git(lock.parent, "restore", "--", lock.name)
    except InputError:
        raise wrong from None


def _left(root: Path) -> Iterator[Path]:
    """Find files and folders whose writer is gone."""
    for folder in WRITTEN:
        for path in sorted((root / folder).rglob(".*.part")):
            number = PART.fullmatch(path.name)
            if number and not psutil.pid_exists(int(number[1])):
                yield path


@contextmanager
def alone(root: Path) -> Iterator[bool]:
    """Keep DVC out of a folder, with the lock that it takes itself; say whether it was out."""
    path = root / ".dvc" / "tmp" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, blocking=False):
            yield True
    except Timeout:
        yield False


def main(root: Path) -> int:
    """Mend; return the exit code."""
    return exit_code_of(lambda: mend(root), say)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
