"""Bring the outputs from DVC's remote: `make pull`.

    python -m belong.commands.verify.pull .

`dvc pull` takes a folder that is gone for an empty one, and says in many lines that files are
missing. Here it is one line, and what the remote has is brought nevertheless.

Reads   root   the folder of the pipeline: its dvc.lock, and DVC's configuration with the remote
Writes  root   the outputs below data/, and DVC's cache
"""

import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from belong.commands.verify.dvc_lock import outputs
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.text import counted, say

SHOWN = 3  # outputs that a line names


def pull(root: Path) -> int:
    """Bring the outputs; say how many files that were.

    Raises:
        InputError: there is no remote, it cannot be reached, or it lacks outputs.
        IntegrityError: a dvc.lock is damaged.
    """
    from dvc.exceptions import (
        CheckoutError,
        DownloadError,
        DvcException,
    )  # not at the top: it takes a second
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    needed = {output.path for output in outputs(root)}
    brought, missing = 0, list[str]()
    try:
        with Repo(str(root)) as repo:
            _check_remote(repo.cloud.get_remote(command="pull"))
            with suppress(DownloadError):  # the checkout says of which outputs
                brought = repo.fetch()
            repo.checkout()
    except CheckoutError as error:
        paths = [os.path.relpath(path, root) for path in error.target_infos]
        missing = sorted(needed.intersection(paths))
    except DvcException as error:
        raise InputError(f"dvc: {' '.join(str(error).split())}") from None
    if missing:
        more = f" and {len(missing) - SHOWN} more" if missing[SHOWN:] else ""
        raise InputError(
            f"the remote lacks {', '.join(missing[:SHOWN])}{more}; `dvc push` where they were "
            "made brings them there, `dvc repro` makes them here"
        )
    say(f"{counted(brought, 'file')} brought; all outputs of dvc.lock are here")
    return 0


def _check_remote(remote: Any) -> None:
    """Refuse a remote that is not there."""
    try:
        is_there = remote.fs.exists(remote.path)
    except Exception as error:  # whatever the client of a store raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"remote {remote.name}: {remote.path} cannot be reached: {reason}"
        ) from None
    if not is_there:
        raise InputError(
            f"remote {remote.name}: {remote.path} is gone, or nothing was ever pushed to it"
        )


def main(root: Path) -> int:
    """Bring them; return the exit code."""
    return exit_code_of(lambda: pull(root), say)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
