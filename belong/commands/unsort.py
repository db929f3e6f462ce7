"""`belong unsort FOLDER`: bring back what `belong score --sort move` has moved."""

import argparse
from pathlib import Path

from belong.runtime.text import counted, on_stdout, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong unsort` takes."""
    parser.add_argument("output", type=Path, metavar="FOLDER", help="the folder with sorted.csv")


def run(arguments: argparse.Namespace) -> int:
    """Take the sorting back."""
    from belong.commands.sorting import unsort  # not at the top: the help needs none of it

    count = unsort(arguments.output)
    on_stdout(f"{printable(arguments.output)}: {counted(count, 'file')} taken back")
    return 0
