"""`belong watch PREDICTIONS ...`: whether images are still rejected as often as was promised.

Exit code 0: within the band. 1: the rate has left it, or a class drifts. 2: bad input.
"""

import argparse
from pathlib import Path

from belong.command.numbers import count, share

LEFT = 1
DELTA = 0.01
SEED = 0  # breaks ties between p-values: the same input gives the same answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong watch` takes."""
    parser.epilog = "exit code: 0 within the band, 1 the rate has left it, 2 bad input"
    parser.add_argument(
        "predictions", type=Path, nargs="+", metavar="PREDICTIONS",
        help="predictions.csv of `belong score`; several in the order of time",
    )  # fmt: skip
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="the model that scored them")
    parser.add_argument(
        "--alpha", type=share, help="without a model: the promised share of false rejects"
    )
    parser.add_argument(
        "--calibration-images", type=count, metavar="N",
        help="without a model: the held-out images that set its threshold",
    )  # fmt: skip
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER",
        help="where the images lie: sort by the time of their files, not by row",
    )  # fmt: skip
    parser.add_argument(
        "--delta", type=share, default=DELTA,
        help=f"chance of a false alarm, however often one looks (default: {DELTA})",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--out", type=Path, metavar="FOLDER", help="write watch.csv and watch.png there"
    )


def run(arguments: argparse.Namespace) -> int:
    """Read the stream, look at it, say what it says."""
    # Not at the top: the help needs none of it.
    import numpy as np

    from belong.artefacts import save_csv, whole_file
    from belong.watching import stream
    from belong.watching.watch import watch
    from belong.watching.words import text

    alpha, n = _promise(arguments)
    rows = stream.read(arguments.predictions, arguments.images)
    rejected = stream.rejected(rows, alpha=alpha, n=n)
    seen = watch(
        rows,
        rejected,
        alpha=alpha,
        n_calibration=n,
        delta=arguments.delta,
        rng=np.random.default_rng(SEED),
    )
    print(text(seen, rows["path"].to_list(), rejected))  # noqa: T201
    if arguments.out:
        from belong.watching.figure import over_time

        save_csv(arguments.out / "watch.csv", seen.blocks)
        with whole_file(arguments.out / "watch.png") as part:
            over_time(seen, alpha=alpha).savefig(part, format="png")
    return 0 if seen.is_within else LEFT


def _promise(arguments: argparse.Namespace) -> tuple[float, int]:
    """Return alpha and the number of calibration images, of the model or as they are given."""
    from belong.errors import InputError
    from belong.manifest import NAME, Manifest

    given = (arguments.alpha, arguments.calibration_images)
    if arguments.model is None:
        if None in given:
            raise InputError("wanted --model, or both --alpha and --calibration-images")
        return given
    if given != (None, None):
        raise InputError("--model has alpha and the number of calibration images: give it alone")
    path = arguments.model / NAME
    if not path.is_file():
        raise InputError(f"{path}: no such file; wanted the folder of a model")
    manifest = Manifest.read(path)
    if manifest.threshold_from != "calibrated":
        raise InputError(f"{path}: the threshold is the paper's; only a calibrated one promises")
    return manifest.alpha, manifest.n_calibration
