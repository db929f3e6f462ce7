"""What commands are told that score images: how many at a time, by how many, and where."""

import argparse
import os
from functools import partial

from belong.command.numbers import count

MOST = 65_536  # processes, or images at a time


def add_computing(to: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add what belongs to scoring alone."""
    number = partial(count, most=MOST)
    to.add_argument(
        "--jobs", type=number, default=os.cpu_count() or 1, metavar="N",
        help="processes that decode images, and threads that score them (default: the processors)",
    )  # fmt: skip
    to.add_argument(
        "--batch-size", type=number, default=256, metavar="N",
        help="images that are scored at a time (default: 256)",
    )  # fmt: skip
    to.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto",
        help="where to compute; auto takes a GPU if there is one (default)",
    )  # fmt: skip
    to.add_argument(
        "--overwrite", action="store_true", help="replace the results of another run in the folder"
    )
