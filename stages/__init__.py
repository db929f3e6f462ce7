"""The stages of dvc.yaml, one program each: input files in, output files out."""

import sys
from pathlib import Path

from belong.runtime import portable_math
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import USER_MISTAKE
from belong.runtime.memory import keep_freed_memory
from belong.runtime.text import on_stderr
from belong.runtime.typed_yaml import read


def _request_math(arguments: list[str]) -> None:
    """Set the math mode and threads of a stage before it imports the math libraries.

    Errors in the parameters are left for the stage to report.
    """
    values: dict[str, object] = {}
    if arguments and arguments[0].endswith(".yaml"):
        try:
            values = read(Path(arguments[0]))
        except (InputError, OSError):
            return
    threads = values.get("threads")
    try:
        portable_math.request(
            portable_math.FAST
            if values.get("math") == portable_math.FAST
            else portable_math.PORTABLE,
            threads=threads if isinstance(threads, int) and threads > 0 else 1,
            say=_say,
        )
    except InputError as error:
        _say(str(error))
        sys.exit(USER_MISTAKE)


def _say(text: str) -> None:
    on_stderr(f"stages: {text}")


if sys.argv[0] == "-m":  # Python is about to run a stage
    _request_math(sys.argv[1:])
    keep_freed_memory()
