"""`belong check FOLDER`: what is wrong with a folder of images, before any training.

Exit code 0: it can be trained on. 1: something will spoil the result. 2: it cannot be read.
"""

import argparse
from pathlib import Path

from belong.commands.arguments import count, share
from belong.commands.check.options import CheckOptions

SPOILED = 1
DEFAULTS = CheckOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `belong check` takes."""
    parser.epilog = (
        "exit code: 0 it can be trained on, 1 something will spoil the result, 2 it cannot be read"
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER",
                        help="a folder of images for each class")  # fmt: skip
    parser.add_argument("--anomalies", type=Path, metavar="FOLDER",
                        help="images that do not belong")  # fmt: skip
    parser.add_argument("--alpha", type=share, default=DEFAULTS.alpha, help="share of the images "
                        "that belong that may be rejected (default: "
                        f"{DEFAULTS.alpha})")  # fmt: skip
    parser.add_argument("--test-fraction", type=share, default=DEFAULTS.test_fraction,
                        metavar="SHARE", help="becomes the test, if there is none (default: "
                        f"{DEFAULTS.test_fraction})")  # fmt: skip
    parser.add_argument("--calibration-fraction", type=share, metavar="SHARE", help="is held out "
                        "to set thresholds (default: as `belong fit`, more where images are "
                        "few)")  # fmt: skip
    parser.add_argument("--jobs", type=count, metavar="N", help="threads (default: all processors)")
    parser.add_argument("-o", "--out", type=Path, metavar="FOLDER", help="write check.json, "
                        "findings.csv and findings.html (with the images) there")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Look, say what was found, write it down."""
    # Not at the top: the help needs none of it.
    from belong.commands.check.check import check
    from belong.runtime.storage import save_csv, save_json, save_text
    from belong.runtime.text import on_stdout

    options = CheckOptions(
        alpha=arguments.alpha,
        test_fraction=arguments.test_fraction,
        calibration_fraction=arguments.calibration_fraction,
        jobs=arguments.jobs,
    )
    report = check(arguments.folder, arguments.anomalies, options)
    on_stdout(report.text())
    if arguments.out:
        save_json(arguments.out / "check.json", report.about())
        save_csv(arguments.out / "findings.csv", report.images())
        from belong.commands.check.page import findings_page

        save_text(arguments.out / "findings.html", findings_page(report, options))
    return 0 if report.can_be_trained_on else SPOILED
