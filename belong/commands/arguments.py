"""Numbers on the command line."""

import argparse
import os
from functools import partial

from belong.prediction.scoring_options import ScoringOptions

DIGITS = 15
DELTA = 0.01  # of `belong watch`
MOST_ROWS = 100_000  # that `belong evaluate` fits to; of more, so many are drawn


def share(text: str) -> float:
    """Return a number between 0 and 1, neither of both."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a number between 0 and 1")
    return value


def count(text: str, *, most: int | None = None) -> int:
    """Return a whole number from 1 on, or up to `most`."""
    number = _number(text)
    if number < 1 or (most is not None and number > most):
        wanted = "on" if most is None else f"to {most}"
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 1 {wanted}")
    return number


def whole(text: str) -> int:
    """Return a whole number from 0 on."""
    number = _number(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from 0 on")
    return number


def _number(text: str) -> int:
    """Return a whole number, and -1 of what is none, or has more digits than any count."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else -1


MOST = 65_536  # processes, or images at a time


def add_scoring_options(to: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the options of `belong.prediction.scoring_options`, and the device."""
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
        "--follow-links", action="store_true",
        help="read what links name outside of the folder of the images",
    )  # fmt: skip
    to.add_argument(
        "--overwrite", action="store_true", help="replace the results of another run in the folder"
    )


def scoring_options(arguments: argparse.Namespace) -> ScoringOptions:
    """Return the options that were given."""
    return ScoringOptions(
        arguments.jobs, arguments.batch_size, arguments.overwrite, arguments.follow_links
    )


def add_backbone_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a backbone."""
    parser.add_argument(
        "--backbone", metavar="NAME", help="with learned weights (default: efficientnet_lite0)"
    )
    parser.add_argument("--weights", metavar="FILE",
                        help="weights of the backbone (default: its maker's)")  # fmt: skip
    parser.add_argument("--from-scratch", action="store_true",
                        help="train a small network without learned weights")  # fmt: skip
