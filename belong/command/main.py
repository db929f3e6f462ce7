"""The command `belong`: find the sub-command, run it, and end with its exit code.

A sub-command's module is imported when it is called, so that `belong --help` answers at once.
"""

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence

from belong.errors import InputError

USER_MISTAKE = 2
INTERRUPTED = 130

# Its module in this package, and what it does. A module has `add_arguments(parser)` and
# `run(arguments)`, which returns the exit code.
COMMANDS = {
    "check": ("check", "what is wrong with a folder of images, before any training"),
    "watch": ("watch", "whether new images are still rejected as often as was promised"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line `words`, or the one that the program was started with."""
    given = sys.argv[1:] if words is None else list(words)
    parser = argparse.ArgumentParser(
        prog="belong", description="Tell which images of a folder do not belong."
    )
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, what) in COMMANDS.items():
        own = parsers.add_parser(name, help=what, description=f"Say {what}.")
        if name in given[:1]:
            command = importlib.import_module(f"belong.command.{module}")
            command.add_arguments(own)
    arguments = parser.parse_args(given)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # clean up as after Ctrl-C
    try:
        return int(command.run(arguments))
    except InputError as error:
        return _failed(arguments.command, str(error), error.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(arguments.command, f"{where}{error.strerror or error}", USER_MISTAKE)
    except KeyboardInterrupt:
        return _failed(arguments.command, "interrupted", INTERRUPTED)


def _failed(command: str, why: str, exit_code: int) -> int:
    print(f"belong {command}: {why}", file=sys.stderr)  # noqa: T201
    return exit_code
