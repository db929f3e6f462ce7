"""Run a stage's `main` from the command line: paths in the order of its arguments."""

import contextlib
import inspect
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from belong.artefacts import save_json
from belong.errors import InputError
from belong.one_writer import end_with_starter, one_writer

USER_MISTAKE = 2
INTERRUPTED = 130

# How long the last run of each stage took: a file for each, for the report's page.
TIMES = Path("data/times")
# DVC sets it for every stage: such as train, or data/dvc.yaml:fetch@mnist.
STAGE = "DVC_STAGE"


def say(text: str) -> None:
    """Tell the user something, in one line on standard error."""
    print(f"{Path(sys.argv[0]).stem}: {text}", file=sys.stderr)  # noqa: T201


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's paths; end with its exit code.

    A user's mistake is one line on standard error and exit code 2, or 3 if too many of his files
    are bad. Any other exception is a fault of this program and keeps its trace.

    The last path is an output: two processes never write it at a time. A stage that DVC runs ends
    with DVC.
    """
    wanted = list(inspect.signature(main).parameters)
    paths = [Path(argument) for argument in sys.argv[1:]]
    program = Path(sys.argv[0]).stem
    if len(paths) != len(wanted):
        usage = " ".join(name.upper() for name in wanted)
        print(f"usage: python -m stages.{program} {usage}", file=sys.stderr)  # noqa: T201
        sys.exit(USER_MISTAKE)
    signal.signal(signal.SIGTERM, _interrupt)  # clean up as after Ctrl-C
    try:
        if STAGE in os.environ:
            end_with_starter()
        with one_writer(paths[-1], say):
            start = time.perf_counter()
            main(*paths)
            _note_time(time.perf_counter() - start)
    except InputError as error:
        print(f"{program}: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
    except OSError as error:
        # The disk, a permission, a name: the message of the system names the file.
        where = f"{error.filename}: " if error.filename else ""
        print(f"{program}: {where}{error.strerror or error}", file=sys.stderr)  # noqa: T201
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        print(f"{program}: interrupted; no output was written", file=sys.stderr)  # noqa: T201
        sys.exit(INTERRUPTED)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


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
