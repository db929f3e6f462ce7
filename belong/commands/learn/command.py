"""Parse `belong learn MODEL --review review.csv -o NEW`: update a model with corrections."""

import argparse
import json
from pathlib import Path

from belong.commands.arguments import epilog, local_path
from belong.runtime import portable_math
from belong.runtime.text import on_stdout

MOST_BYTES = 2**24  # maximum size of a manifest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong learn`."""
    parser.epilog = epilog(
        "belong learn models/ours --review review.csv -o models/next",
        exit_codes={0: "done", 2: "bad input", 4: "the model is damaged"},
    )
    parser.add_argument("model", type=local_path, metavar="MODEL", help="folder of the model")
    parser.add_argument("--review", type=local_path, required=True, metavar="FILE",
                        help="review.csv saved by the gallery")  # fmt: skip
    parser.add_argument("-o", "--output", type=local_path, required=True, metavar="FOLDER",
                        help="new folder for the updated model")  # fmt: skip
    parser.add_argument("--images", type=local_path, metavar="FOLDER",
                        help="reviewed images (default: the review's folder)")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Update the model and print the changes."""
    _request_math_of(arguments.model)
    from belong.commands.learn.learn import learn  # imported here: `--help` does not need it

    result = learn(
        arguments.model, arguments.output, review=arguments.review, images=arguments.images
    )
    on_stdout(result.text)
    return 0


def _request_math_of(model: Path) -> None:
    """Select the math mode of the model for the libraries imported later."""
    try:
        with (model / "manifest.json").open("rb") as file:  # `storage` would load NumPy
            math = json.loads(file.read(MOST_BYTES))["created_by"]["math"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return  # `learn` reports the error
    if math == portable_math.PORTABLE:
        portable_math.request(math)
