"""`belong check FOLDER`: what is wrong with a folder of images, before any training.

Exit code 0: it can be trained on. 1: something will spoil the result. 2: it cannot be read.
"""

import argparse
from pathlib import Path

from belong.commands.arguments import count, share

SPOILED = 1

# As in params.yaml, which an installed command does not have; a test holds them to it.
ALPHA = 0.025
TEST_FRACTION = 0.2
MAX_BAD_FRACTION = 0.01
MAX_PIXELS = 50_000_000
WHITE = (255, 255, 255)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `belong check` takes."""
    parser.epilog = (
        "exit code: 0 it can be trained on, 1 something will spoil the result, 2 it cannot be read"
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="a folder of images for each class"
    )
    parser.add_argument(
        "--anomalies", type=Path, metavar="FOLDER", help="images that do not belong"
    )
    parser.add_argument(
        "--alpha",
        type=share,
        default=ALPHA,
        help=f"share of the images that belong that may be rejected (default: {ALPHA})",
    )
    parser.add_argument(
        "--test-fraction",
        type=share,
        default=TEST_FRACTION,
        metavar="SHARE",
        help=f"becomes the test, if there is none (default: {TEST_FRACTION})",
    )
    parser.add_argument(
        "--calibration-fraction",
        type=share,
        metavar="SHARE",
        help="is held out to set thresholds (default: as `belong fit`, more where images are few)",
    )
    parser.add_argument("--jobs", type=count, metavar="N", help="threads (default: all processors)")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write check.json and findings.csv (path, finding, detail) there",
    )


def run(arguments: argparse.Namespace) -> int:
    """Look, say what was found, write it down."""
    # Not at the top: the help needs none of it.
    from belong.commands.check.check import check
    from belong.runtime.storage import save_csv, save_json

    report = check(
        arguments.folder,
        arguments.anomalies,
        alpha=arguments.alpha,
        test_fraction=arguments.test_fraction,
        calibration_fraction=arguments.calibration_fraction,
        max_bad_fraction=MAX_BAD_FRACTION,
        max_pixels=MAX_PIXELS,
        background=WHITE,
        jobs=arguments.jobs,
    )
    print(report.text())  # noqa: T201
    if arguments.out:
        save_json(arguments.out / "check.json", report.about())
        save_csv(arguments.out / "findings.csv", report.images())
    return 0 if report.can_be_trained_on else SPOILED
