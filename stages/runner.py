"""Run a stage's `main` from the command line: paths in the order of its arguments."""

import contextlib
import inspect
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from belong.runtime.errors import InputError, MissingFileError
from belong.runtime.exit_codes import USER_MISTAKE, end_at_once, exit_code_of
from belong.runtime.process_lock import end_with_starter, one_writer
from belong.runtime.storage import save_json
from belong.runtime.text import say

# How long the last run of each stage took: a file for each, for the report's page.
TIMES = Path("data/times")
# DVC sets it for every stage: such as train, or data/dvc.yaml:fetch@mnist.
STAGE = "DVC_STAGE"


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's paths; end with its exit code.

    A user's mistake is one line on standard error and exit code 2, or 3 if too many of his files
    are bad; so is want of memory. Any other exception is a fault of this program and keeps its
    trace.

    The last path is an output: two processes never write it at a time. A stage that DVC runs ends
    with DVC.
    """
    wanted = list(inspect.signature(main).parameters)
    paths = [Path(argument) for argument in sys.argv[1:]]
    if len(paths) != len(wanted):
        usage = " ".join(name.upper() for name in wanted)
        program = Path(sys.argv[0]).stem
        print(f"usage: python -m stages.{program} {usage}", file=sys.stderr)  # noqa: T201
        sys.exit(USER_MISTAKE)
    end_at_once()
    ended = exit_code_of(
        lambda: _done(main, paths), say, interrupted="interrupted; no output was written"
    )
    sys.exit(ended)


def _done(main: Callable[..., None], paths: list[Path]) -> int:
    if STAGE in os.environ:
        end_with_starter()
    with one_writer(paths[-1], say):
        start = time.perf_counter()
        try:
            main(*paths)
        except MissingFileError as error:
            if not {error.path, *error.path.parents}.intersection(paths):
                raise  # a file that the parameters name
            raise InputError(f"{error}; `dvc repro` makes it") from None
        _note_time(time.perf_counter() - start)
    return 0


def _note_time(seconds: float) -> None:
    """Write down the time and the peak memory of a stage that DVC runs, and of no other call."""
    address = os.environ.get(STAGE)
    if address is None or not TIMES.parent.is_dir():
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on a Mac
    mib = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    noted = {"seconds": round(seconds, 3), "peak_mib": round(mib, 1)}
    # The stage's outputs are whole: that its time cannot be written is no failure of the stage.
    with contextlib.suppress(OSError):
        save_json(TIMES / f"{address.rpartition(':')[2]}.json", noted)
