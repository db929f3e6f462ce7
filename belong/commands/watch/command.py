"""`belong watch FOLDER ...`: whether images are still rejected as often as was promised.

Exit code 0: within the band. 1: the rate has left it, or a class drifts. 2: bad input. 3: of a
folder of images none can be read. 4: the model is damaged.
"""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from belong.commands.arguments import add_computing, count, share

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from belong.commands.watch.score_uploads import Uploads
    from belong.data.file_discovery import Incoming

LEFT = 1
DELTA = 0.01
SEED = 0  # breaks ties between p-values: the same input gives the same answer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong watch` takes."""
    parser.epilog = (
        "exit code: 0 within the band, 1 the rate has left it, 2 bad input, 3 no image can be "
        "read, 4 the model is damaged"
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
    add_computing(parser.add_argument_group("of a folder of new images"))


def run(arguments: argparse.Namespace) -> int:
    """Score what is not scored yet, look at the stream, say what it says."""
    # Not at the top: the help needs none of it.
    import numpy as np

    from belong.commands.watch import predictions
    from belong.commands.watch.inputs import PICTURE, TABLE, look
    from belong.commands.watch.summary import left_out, text
    from belong.commands.watch.watch import check_promise, watch
    from belong.runtime.storage import save_csv, whole_file

    given = [look(path) for path in arguments.given]
    _check_new(given, arguments)
    alpha, n = _promise(arguments)
    check_promise(alpha=alpha, n_calibration=n)
    rows, unreadable = _rows(given, arguments, alpha, n)
    rejected = predictions.rejected(rows, alpha=alpha, n=n)
    seen = watch(
        rows,
        rejected,
        alpha=alpha,
        n_calibration=n,
        delta=arguments.delta,
        rng=np.random.default_rng(SEED),
    )
    if arguments.out:
        from belong.commands.watch.figure import over_time

        save_csv(arguments.out / TABLE, seen.blocks)
        with whole_file(arguments.out / PICTURE) as part:
            over_time(seen, alpha=alpha).savefig(part, format="png")
    print(text(seen, rows["path"].to_list(), rejected))  # noqa: T201
    if unreadable:
        print(left_out(unreadable, arguments.out))  # noqa: T201
    return 0 if seen.is_within else LEFT


def _check_new(given: "Sequence[Path | Incoming]", arguments: argparse.Namespace) -> None:
    """Refuse images that cannot be scored here, and what is said of none."""
    from belong.runtime.errors import InputError
    from belong.runtime.text import printable

    new = [one for one in given if not isinstance(one, Path)]
    if not new:
        return
    if len(new) > 1:
        raise InputError(
            f"{printable(new[1].top)}: is a second folder of images; wanted one, and of the others "
            f"what `belong score` makes of them"
        )
    name = printable(new[0].top)
    if arguments.model is None:
        raise InputError(f"{name}: is a folder of images; wanted --model, to score them")
    if arguments.images is not None:
        raise InputError(f"{name}: is a folder of images; --images is for predictions without them")


def _rows(
    given: "Sequence[Path | Incoming]", arguments: argparse.Namespace, alpha: float, n: int
) -> "tuple[pd.DataFrame, list[tuple[str, str]]]":
    """Return the stream, and (path, reason) of files that cannot be read."""
    import pandas as pd

    from belong.commands.watch import predictions

    tables = [one for one in given if isinstance(one, Path)]
    if len(tables) == len(given):
        images = arguments.images
        return predictions.read(
            tables, partial(predictions.time_below, images) if images else None
        ), []
    # What is scored already first: a mistake in it is answered at once.
    read = {table: predictions.read([table]) for table in tables}
    for rows in read.values():
        predictions.rejected(rows, alpha=alpha, n=n)
    parts, unreadable = [], []
    for one in given:
        if isinstance(one, Path):
            parts.append(read[one])
        else:
            uploads = _scored(one, arguments)
            parts.append(uploads.rows)
            unreadable = uploads.unreadable
    return pd.concat(parts, ignore_index=True), unreadable


def _scored(new: "Incoming", arguments: argparse.Namespace) -> "Uploads":
    from belong.commands.watch.score_uploads import scored
    from belong.prediction.batch_prediction import score_files
    from belong.prediction.bundle import Bundle
    from belong.runtime.text import printable

    bundle = Bundle.load(arguments.model)
    source = printable(new.top)
    score = partial(
        score_files,
        new,
        bundle,
        source=source,
        jobs=arguments.jobs,
        batch_size=arguments.batch_size,
        device_name=arguments.device,
        overwrite=arguments.overwrite,
        say=lambda text: print(text, file=sys.stderr),  # noqa: T201
    )
    return scored(new, arguments.out, source=source, score=score)


def _promise(arguments: argparse.Namespace) -> tuple[float, int]:
    """Return alpha and the number of calibration images, of the model or as they are given."""
    from belong.prediction.manifest import NAME, Manifest
    from belong.runtime.errors import InputError

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
