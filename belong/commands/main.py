"""Run `belong COMMAND ...`, and report an error in one line.

A command is a module with `add_arguments(parser)` and `run(arguments) -> int`, the exit code. Only
the called command is imported. Slow imports stand in its `run`, so that `belong --help` needs no
torch.
"""

import argparse
import functools
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from belong.runtime.argument_names import of_command, options_of
from belong.runtime.exit_codes import exit_code_of, skip_final_collection
from belong.runtime.text import on_stderr, on_stdout, open_streams

# Name of a command -> its module and its description.
COMMANDS = {
    "check": (
        "belong.commands.check.command",
        "find problems in a folder of images before training",
    ),
    "fit": ("belong.commands.fit.command", "train a model on one folder of images per class"),
    "clean": (
        "belong.commands.clean.command",
        "find mislabeled and foreign images in a labeled folder",
    ),
    "find": ("belong.commands.find.command", "rank the most unusual images of an unlabeled folder"),
    "score": ("belong.commands.score", "decide for each image whether it belongs"),
    "learn": ("belong.commands.learn.command", "update a model with corrections from the gallery"),
    "unsort": ("belong.commands.unsort", "move sorted images back to where they were"),
    "export": ("belong.commands.export", "export a model to one ONNX file"),
    "info": ("belong.commands.info", "show a model's training data and its measured errors"),
    "watch": (
        "belong.commands.watch.command",
        "test whether new images still match the calibration",
    ),
    "evaluate": (
        "belong.commands.evaluate.command",
        "compare detectors on the feature vectors of any network",
    ),
    "verify": (
        "belong.commands.verify.command",
        "check all files of a model or pipeline against checksums",
    ),
}
EPILOG = """first steps:
  belong fit photos/ours -o models/ours
  belong score photos/new --model models/ours -o build/new

`belong COMMAND --help` shows the options of a command, with an example."""
READER_GONE = 141  # 128 + SIGPIPE, the exit code of a program whose reader has closed the pipe
# Allocations between two runs of the garbage collector. The default of 700 costs time: an import of
# torch creates many objects and no garbage.
COLLECTOR_THRESHOLD = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name, and return its exit code.

    0: done. 2: bad input, such as a missing folder. 3: too many images cannot be read. 4: a model
    is damaged. 5: a new model misses a requirement, or `clean` cannot judge the images well enough.
    130: interrupted. A command may have further codes.
    """
    open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that a terminal cannot show
    options = parser(words[0] if words else "").parse_args(words)
    names = vars(options).pop("option_names")
    gc.set_threshold(COLLECTOR_THRESHOLD)
    skip_final_collection()
    with of_command(names):
        return exit_code_of(lambda: _run(options), functools.partial(_report, options.command))


def _run(options: argparse.Namespace) -> int:
    try:
        code: int = importlib.import_module(COMMANDS[options.command][0]).run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has closed the pipe, as in `belong info model | head -1`. Without this line the
        # flush at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    return code


def parser(called: str) -> argparse.ArgumentParser:
    """Return the parser of the command line, with the arguments of the command `called` only."""
    top = _Parser(
        prog="belong",
        description="Out-of-distribution detection for folders of images.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, description) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=description,
            description=f"{description[0].upper()}{description[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == called:
            importlib.import_module(module).add_arguments(command)
            command.set_defaults(option_names=options_of(command))
    return top


class _Version(argparse.Action):
    """Print the version of the package and exit."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version  # slow to import

        on_stdout(f"belong {version('belong')}")
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """A parser that reports an error in one line, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see `{self.prog} --help`\n")


def _report(command: str, text: str) -> None:
    printable_text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    on_stderr(f"belong {command}: {printable_text}")
