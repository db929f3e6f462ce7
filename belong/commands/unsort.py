"""Parse `belong unsort FOLDER`: undo `belong score --sort`."""

import argparse

from belong.commands.arguments import epilog, local_path
from belong.runtime.text import counted, on_stdout, printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong unsort`."""
    parser.epilog = epilog("belong unsort build/new", exit_codes={0: "done", 2: "bad input"})
    parser.add_argument(
        "output", type=local_path, metavar="FOLDER", help="output folder of `belong score --sort`"
    )


def run(arguments: argparse.Namespace) -> int:
    """Undo the sorting."""
    from belong.commands.sorting import unsort  # imported here: `--help` does not need it

    count = unsort(arguments.output)
    on_stdout(f"{printable(arguments.output)}: the sorting of {counted(count, 'file')} is undone")
    return 0
