"""Parse `belong watch FOLDER ...`: test whether images are rejected as often as promised."""

import argparse

from belong.commands.arguments import (
    DELTA,
    add_scoring_options,
    count,
    epilog,
    local_path,
    scoring_options,
    share,
)
from belong.runtime.text import on_stdout

LEFT = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong watch`."""
    parser.epilog = epilog(
        "belong watch photos/today --model models/ours -o build/watch",
        notes="Images are tested in the order of their file times.",
        exit_codes={
            0: "no alarm",
            1: "alarm: the rate, the scores or a class drifted",
            2: "bad input",
            3: "no image can be read",
            4: "the model is damaged",
        },
    )
    parser.add_argument(
        "inputs", type=local_path, nargs="+", metavar="FOLDER",
        help="folder of images, or outputs of `belong score`",
    )  # fmt: skip
    parser.add_argument("--model", type=local_path, metavar="FOLDER", help="folder of the model")
    parser.add_argument(
        "--alpha", type=share, metavar="SHARE",
        help="promised false-rejection rate, without --model",
    )  # fmt: skip
    parser.add_argument(
        "--calibration-images", dest="n_calibration", type=count, metavar="N",
        help="number of calibration images, without --model",
    )  # fmt: skip
    parser.add_argument(
        "--images", dest="images_folder", type=local_path, metavar="FOLDER",
        help="image folder whose file times order the predictions",
    )  # fmt: skip
    parser.add_argument(
        "--delta", type=share, default=DELTA, metavar="SHARE",
        help="maximum probability of a false alarm (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=local_path, metavar="FOLDER",
        help="folder for watch.csv, watch.png and new predictions",
    )  # fmt: skip
    add_scoring_options(parser.add_argument_group("scoring of new images"))


def run(arguments: argparse.Namespace) -> int:
    """Score new images, test the stream, and print the result."""
    from belong.commands.watch.watch import watch  # imported here: `--help` does not need it

    result = watch(
        *arguments.inputs,
        model=arguments.model,
        alpha=arguments.alpha,
        n_calibration=arguments.n_calibration,
        images_folder=arguments.images_folder,
        delta=arguments.delta,
        output=arguments.output,
        device=arguments.device,
        options=scoring_options(arguments),
    )
    on_stdout(result.text)
    return 0 if result.is_within else LEFT
