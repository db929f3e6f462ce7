"""Define the arguments that several commands share, and parse their numbers."""

import argparse
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from belong.prediction.scoring_options import ScoringOptions
from belong.runtime.arguments import is_url

DIGITS = 15  # maximum digits of a whole number
DELTA = 0.01  # default of `belong watch --delta`
MOST_ROWS = 100_000  # rows that `belong evaluate` fits to; a random sample of a larger set


def epilog(*examples: str, exit_codes: Mapping[int, str], notes: str = "") -> str:
    """Return the lines below the options: examples, notes, and the meaning of each exit code."""
    blocks = [
        "\n  ".join(["examples:" if len(examples) > 1 else "example:", *examples]),
        notes,
        "\n  ".join(["exit codes:", *(f"{code}  {text}" for code, text in exit_codes.items())]),
    ]
    return "\n\n".join(block for block in blocks if block)


def keep_former_name(parser: argparse.ArgumentParser, action: argparse.Action, name: str) -> None:
    """Accept the name that an option had in an earlier version; no help or page shows it."""
    parser._option_string_actions[name] = action


def local_path(text: str) -> Path:
    """Return the path of a folder or file."""
    if is_url(text):
        raise argparse.ArgumentTypeError(f"expected a folder or file, not a URL, got {text!r}")
    return Path(text)


def share(text: str) -> float:
    """Parse a number between 0 and 1 (exclusive)."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"expected a number between 0 and 1 (exclusive), got {text!r}"
        )
    return value


def count(text: str, *, most: int | None = None) -> int:
    """Parse a whole number from 1 to `most`."""
    number = _number(text)
    if number < 1 or (most is not None and number > most):
        limits = "of at least 1" if most is None else f"from 1 to {most}"
        raise argparse.ArgumentTypeError(f"expected a whole number {limits}, got {text!r}")
    return number


def whole(text: str) -> int:
    """Parse a whole number of at least 0."""
    number = _number(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 0, got {text!r}")
    return number


def _number(text: str) -> int:
    """Return the whole number, or -1 if `text` is none or has more than `DIGITS` digits."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= DIGITS else -1


MOST = 65_536  # processes, or images per batch


def add_scoring_options(to: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Add the options of `belong.prediction.scoring_options` and the device."""
    number = partial(count, most=MOST)
    to.add_argument(
        "--jobs", type=number, default=os.cpu_count() or 1, metavar="N",
        help="decoding processes and scoring threads (default: all processors)",
    )  # fmt: skip
    to.add_argument(
        "--batch-size", type=number, default=256, metavar="N",
        help="images per batch (default: %(default)s)",
    )  # fmt: skip
    to.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto",
        help="compute device; auto prefers a GPU (default: %(default)s)",
    )  # fmt: skip
    to.add_argument(
        "--follow-links", action="store_true",
        help="follow links that lead out of the image folder",
    )  # fmt: skip
    to.add_argument("--overwrite", action="store_true", help="replace results of another run")


def scoring_options(arguments: argparse.Namespace) -> ScoringOptions:
    """Return the scoring options of a command line."""
    return ScoringOptions(
        arguments.jobs, arguments.batch_size, arguments.overwrite, arguments.follow_links
    )


def add_backbone_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a backbone."""
    parser.add_argument(
        "--backbone", metavar="NAME",
        help="pretrained network from timm (default: efficientnet_lite0)",
    )  # fmt: skip
    parser.add_argument("--weights", metavar="FILE",
                        help="backbone weights (default: the published weights)")  # fmt: skip
    parser.add_argument("--from-scratch", action="store_true",
                        help="train a small network without pretrained weights")  # fmt: skip


def add_setting_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that set keys of params.yaml."""
    parser.add_argument("--seed", type=whole, metavar="N", help="random seed (default: 0)")
    parser.add_argument("--threads", type=count, metavar="N", help="compute threads (default: 1)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"),
                        help="compute device (default: auto)")  # fmt: skip
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE",
                        help="any other key of params.yaml, such as train.epochs=30")  # fmt: skip
