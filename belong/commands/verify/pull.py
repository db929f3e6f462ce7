"""Download the outputs from DVC's remote: `make pull`.

    python -m belong.commands.verify.pull .

`dvc pull` treats a missing remote folder as an empty one, and reports missing files in many lines.
This program reports them in one line, and downloads the files that the remote has.

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

SHOWN = 3  # outputs in a message


def pull(root: Path) -> int:
    """Download the outputs, and report the number of files.

    Raises:
        InputError: there is no remote, it cannot be reached, or it lacks outputs.
        IntegrityError: a dvc.lock is damaged.
    """
    # Imported here: DVC takes a second.
    from dvc.exceptions import CheckoutError, DownloadError, DvcException
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data", "dvc_objects"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    output_paths = {output.path for output in outputs(root)}
    downloaded, missing = 0, list[str]()
    try:
        with Repo(str(root)) as repo:
            _check_remote(repo.cloud.get_remote(command="pull"))
            with suppress(DownloadError):  # the checkout names the missing outputs
                downloaded = repo.fetch()
            repo.checkout()
    except CheckoutError as error:
        paths = [os.path.relpath(path, root) for path in error.target_infos]
        missing = sorted(output_paths.intersection(paths))
    except DvcException as error:
        raise InputError(f"dvc: {' '.join(str(error).split())}") from None
    if missing:
        more = f" and {len(missing) - SHOWN} more" if missing[SHOWN:] else ""
        raise InputError(
            f"the remote lacks {', '.join(missing[:SHOWN])}{more}; run `dvc push` on the machine "
            "that has them, or `dvc repro` here"
        )
    say(f"{counted(downloaded, 'file')} downloaded; all outputs of dvc.lock are present")
    return 0


def _check_remote(remote: Any) -> None:
    """Refuse a remote that does not exist."""
    try:
        is_there = remote.fs.exists(remote.path)
    except Exception as error:  # whatever the client of a store raises
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"remote {remote.name}: {remote.path} cannot be reached: {reason}"
        ) from None
    if not is_there:
        raise InputError(
            f"remote {remote.name}: {remote.path} does not exist, or nothing was ever pushed to it"
        )


def main(root: Path) -> int:
    """Download the outputs; return the exit code."""
    return exit_code_of(lambda: pull(root), say)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
