"""Parse `belong check FOLDER`: find problems in a folder of images before training."""

import argparse

from belong.commands.arguments import count, epilog, local_path, share
from belong.commands.check.options import CheckOptions

SPOILED = 1
DEFAULTS = CheckOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong check`."""
    parser.epilog = epilog(
        "belong check photos/train -o build/check",
        exit_codes={
            0: "the folder can be trained on",
            1: "a finding would spoil the result",
            2: "the folder cannot be read",
            3: "no image can be read",
        },
    )
    parser.add_argument("folder", type=local_path, metavar="FOLDER",
                        help="one subfolder per class, or images of one class")  # fmt: skip
    parser.add_argument("--anomalies", type=local_path, metavar="FOLDER",
                        help="images that do not belong")  # fmt: skip
    parser.add_argument("--alpha", type=share, metavar="SHARE",
                        help="planned false-rejection rate "
                        "(default: as in `belong fit`)")  # fmt: skip
    parser.add_argument("--test-fraction", type=share, default=DEFAULTS.test_fraction,
                        metavar="SHARE", help="test share without a test folder "
                        "(default: %(default)s)")  # fmt: skip
    parser.add_argument("--calibration-fraction", type=share, metavar="SHARE",
                        help="calibration share (default: as in `belong fit`)")  # fmt: skip
    parser.add_argument("--jobs", type=count, metavar="N",
                        help="decoding processes (default: all processors)")  # fmt: skip
    parser.add_argument("-o", "--output", type=local_path, metavar="FOLDER",
                        help="folder for check.json, findings.csv and findings.html")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Check the folder, print the findings, and write them to --output."""
    # Imported here: `--help` does not need them.
    import pandas as pd

    from belong.commands.check.check import check
    from belong.prediction.prediction_files import UNREADABLE
    from belong.runtime.errors import TooManyBadFilesError
    from belong.runtime.storage import save_csv, save_json, save_text
    from belong.runtime.text import on_stdout, printable

    options = CheckOptions(
        alpha=arguments.alpha,
        test_fraction=arguments.test_fraction,
        calibration_fraction=arguments.calibration_fraction,
        jobs=arguments.jobs,
    )
    try:
        report = check(arguments.folder, arguments.anomalies, options)
    except TooManyBadFilesError as error:
        if not arguments.output:
            raise
        table = arguments.output / UNREADABLE
        save_csv(table, pd.DataFrame(error.unreadable, columns=["path", "reason"]))
        raise TooManyBadFilesError(f"{error}; {printable(table)} lists all") from None
    on_stdout(report.text())
    if arguments.output:
        save_json(arguments.output / "check.json", report.about())
        save_csv(arguments.output / "findings.csv", report.images())
        from belong.commands.check.page import findings_page

        save_text(arguments.output / "findings.html", findings_page(report, options))
    return 0 if report.can_be_trained_on else SPOILED
