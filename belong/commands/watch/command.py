"""`belong watch FOLDER ...`: whether images are still rejected as often as was promised.

Exit code 0: within the band. 1: the rate or the scores have left it, or a class drifts. 2: bad
input. 3: of a folder of images none can be read. 4: the model is damaged.
"""

import argparse
from pathlib import Path

from belong.commands.arguments import DELTA, add_scoring_options, count, scoring_options, share
from belong.runtime.text import on_stdout

LEFT = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong watch` takes."""
    parser.epilog = (
        "exit code: 0 within the band, 1 the rate or the scores have left it, 2 bad input, 3 no "
        "image can be read, 4 the model is damaged"
    )
    parser.add_argument(
        "given", type=Path, nargs="+", metavar="FOLDER",
        help="new images, which are scored, in the order of their files' times; or what `belong "
        "score` made of some: its folder, or predictions.csv; several in the order of time",
    )  # fmt: skip
    parser.add_argument(
        "--model", type=Path, metavar="FOLDER", help="the model: that scores, or has scored, them"
    )
    parser.add_argument(
        "--alpha", type=share, help="without a model: the promised share of false rejects"
    )
    parser.add_argument(
        "--calibration-images", type=count, metavar="N",
        help="without a model: the held-out images that set its threshold",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER",
        help="where the images of predictions lie: sort by their files' times, not by row",
    )  # fmt: skip
    parser.add_argument(
        "--delta", type=share, default=DELTA,
        help=f"chance of a false alarm, however often one looks (default: {DELTA})",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FOLDER",
        help="write watch.csv and watch.png there; of images that are scored predictions.csv, "
        "unreadable.csv and summary.json too",
    )  # fmt: skip
    add_scoring_options(parser.add_argument_group("of a folder of new images"))


def run(arguments: argparse.Namespace) -> int:
    """Score the images that are not scored yet, test the stream, print the answer."""
    from belong.commands.watch.watch import watch  # not at the top: the help needs none of it

    result = watch(
        *arguments.given,
        model=arguments.model,
        alpha=arguments.alpha,
        n_calibration=arguments.calibration_images,
        images_folder=arguments.images,
        delta=arguments.delta,
        output=arguments.out,
        device=arguments.device,
        options=scoring_options(arguments),
    )
    on_stdout(result.text)
    return 0 if result.is_within else LEFT
