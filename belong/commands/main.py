"""`belong COMMAND ...`: finds the command, runs it, and says in one line what went wrong.

A command is a module with `add_arguments(parser)` and `run(arguments) -> int`, its exit code. It is
imported only if it is called, and imports what is slow in `run`: `belong --help` needs no torch.
"""

import argparse
import functools
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence

from belong.runtime.exit_codes import end_at_once, exit_code_of
from belong.runtime.text import on_stderr, open_streams

# name -> its module, and what it does in one line.
COMMANDS = {
    "check": (
        "belong.commands.check.command",
        "say what is wrong with a folder of images before training",
    ),
    "fit": ("belong.commands.fit.command", "train a model on a folder of images for each class"),
    "clean": (
        "belong.commands.clean.command",
        "say which images of a labelled folder are not of their class",
    ),
    "score": ("belong.commands.score", "say of every image in a folder whether it belongs"),
    "unsort": ("belong.commands.unsort", "bring back the images that `score --sort` has placed"),
    "export": ("belong.commands.export", "write a model as one ONNX graph that runs without torch"),
    "info": ("belong.commands.info", "say what a model was trained on and how good it is"),
    "watch": (
        "belong.commands.watch.command",
        "say whether images are still rejected as often as promised",
    ),
    "evaluate": (
        "belong.commands.evaluate.command",
        "compare detectors on the vectors of any network",
    ),
    "verify": ("belong.commands.verify.command", "say whether every byte is still what was made"),
}
READER_GONE = 141  # as of a program that a closed pipe ends
# Objects that are made before Python looks for circles among them. An import of torch makes many
# times its usual 700, and none of them is garbage.
SELDOM = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that `arguments` name; return its exit code.

    0: done. 2: a mistake of the user's, such as a missing folder. 3: too many of the images cannot
    be read. 4: a model is damaged. 5: a new model misses a requirement, or `clean` cannot judge the
    images well enough. 130: interrupted. Other codes are a command's own answers.
    """
    open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names that a terminal cannot show
    options = parser(words[0] if words else "").parse_args(words)
    gc.set_threshold(SELDOM)
    end_at_once()
    return exit_code_of(lambda: _run(options), functools.partial(_say, options.command))


def _run(options: argparse.Namespace) -> int:
    try:
        code: int = importlib.import_module(COMMANDS[options.command][0]).run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Nobody reads on, `belong info model | head -1`; the flush at the end would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    return code


def parser(called: str) -> argparse.ArgumentParser:
    """Return the parser of the command line; of the commands, `called` knows its arguments."""
    top = argparse.ArgumentParser(
        prog="belong", description="Which images belong to those that a model was trained on?"
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, does) in COMMANDS.items():
        one = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")
        if name == called:
            importlib.import_module(module).add_arguments(one)
    return top


def _say(command: str, text: str) -> None:
    shown = text.encode("utf-8", "backslashreplace").decode("utf-8")
    on_stderr(f"belong {command}: {shown}")
