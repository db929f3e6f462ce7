"""`belong COMMAND ...`: finds the command, runs it, and says in one line what went wrong.

A command is a module with `add_arguments(parser)` and `run(arguments) -> int`, its exit code. It is
imported only if it is called, and imports what is slow in `run`: `belong --help` needs no torch.
"""

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence

from belong.errors import InputError

# name -> its module, and what it does in one line.
COMMANDS = {
    "check": ("belong.command.check", "say what is wrong with a folder of images before training"),
    "fit": ("stages.fit_command", "train a model on a folder of images for each class"),
    "clean": (
        "stages.clean_command",
        "say which images of a labelled folder are not of their class",
    ),
    "score": ("belong.command.score", "say of every image in a folder whether it belongs"),
    "info": ("belong.command.info", "say what a model was trained on and how good it is"),
    "watch": ("belong.command.watch", "say whether images are still rejected as often as promised"),
}
USER_MISTAKE = 2
INTERRUPTED = 130
READER_GONE = 141  # as of a program that a closed pipe ends


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name; return its exit code.

    0: done. 2: a mistake of the user's, such as a missing folder. 3: too many of the images cannot
    be read. 4: a model is damaged. 130: interrupted. Other codes are a command's own answers.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    given = parser(words[0] if words else "").parse_args(words)
    before = signal.signal(signal.SIGTERM, _interrupt)  # clean up as after Ctrl-C
    try:
        code: int = importlib.import_module(COMMANDS[given.command][0]).run(given)
        sys.stdout.flush()
    except InputError as error:
        return _say(given.command, str(error), error.exit_code)
    except BrokenPipeError:
        # Nobody reads on, `belong info model | head -1`; the flush at the end would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except OSError as error:
        # The disk, a permission, a name: the message of the system names the file.
        where = f"{error.filename}: " if error.filename else ""
        return _say(given.command, f"{where}{error.strerror or error}", USER_MISTAKE)
    except KeyboardInterrupt as interruption:
        return _say(given.command, str(interruption) or "interrupted", INTERRUPTED)
    finally:
        signal.signal(signal.SIGTERM, before)
    return code


def parser(called: str) -> argparse.ArgumentParser:
    """Return the parser of the command line; of the commands, `called` knows its arguments."""
    made = argparse.ArgumentParser(
        prog="belong", description="Which images belong to those that a model was trained on?"
    )
    commands = made.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, does) in COMMANDS.items():
        one = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
        if name == called:
            importlib.import_module(module).add_arguments(one)
    return made


def _say(command: str, text: str, code: int) -> int:
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    print(f"belong {command}: {shown}", file=sys.stderr)  # noqa: T201
    return code


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
