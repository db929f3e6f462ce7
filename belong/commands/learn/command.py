"""`belong learn MODEL --review review.csv -o MODEL2`: take a person's corrections into a model."""

import argparse
import json
from pathlib import Path

from belong.runtime import portable_math
from belong.runtime.text import on_stdout

MOST_BYTES = 2**24  # of a manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong learn` takes."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="a model of `belong fit`")
    parser.add_argument("--review", type=Path, required=True, metavar="FILE",
                        help="the answers that the gallery saved")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER",
                        help="the new model, a new folder")  # fmt: skip
    parser.add_argument("--images", type=Path, metavar="FOLDER",
                        help="reviewed images (default: the review's folder)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Learn, and say what changed."""
    _compute_as(arguments.model)
    from belong.commands.learn.learn import learn  # not at the top: the help needs none of it

    result = learn(
        arguments.model, arguments.output, review=arguments.review, images=arguments.images
    )
    on_stdout(result.text)
    return 0


def _compute_as(model: Path) -> None:
    """Have what is imported from here on compute as it did for the model."""
    try:
        with (model / "manifest.json").open("rb") as file:  # `storage` would load NumPy
            math = json.loads(file.read(MOST_BYTES))["created_by"]["math"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return  # `learn` says what is wrong with it
    if math == portable_math.PORTABLE:
        portable_math.request(math)
