"""Read the inputs of `belong watch`: predictions, a folder with predictions, or images.

Images are scored as by `belong score`, and sorted by time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from belong.calibration.sample_size import MARGINAL, PER_CLASS
from belong.commands.watch import predictions
from belong.data.file_discovery import Incoming, below
from belong.data.image_kinds import is_image_name
from belong.data.unreadable import none_readable
from belong.prediction.model import Model
from belong.prediction.prediction_files import PREDICTIONS, UNREADABLE
from belong.prediction.scoring_options import ScoringOptions
from belong.prediction.scoring_run import score_files
from belong.runtime.argument_names import named
from belong.runtime.errors import InputError, TooManyBadFilesError
from belong.runtime.storage import load_csv
from belong.runtime.text import on_stderr, printable

# Output files. A picture beside predictions does not count as an input image.
TABLE, PICTURE = "watch.csv", "watch.png"
Reasons = list[tuple[str, str]]  # (path, reason) of files that cannot be read


def look(path: Path, *, follow_links: bool = False) -> Path | Incoming:
    """Return the path of predictions, or the images below a folder.

    A path that is not a folder counts as a table of predictions; reading it reports errors.

    Raises:
        InputError: the folder has both predictions and images, or neither; or the path is an image.
    """
    name = printable(path)
    if not path.is_dir():
        if is_image_name(path.name) and path.exists():
            raise InputError(f"{name}: expected a folder of images or {PREDICTIONS}, got an image")
        return path
    table = path / PREDICTIONS
    try:
        incoming = below(path, follow_links=follow_links)
    except InputError:
        if table.exists():
            return table
        raise InputError(
            f"{name}: expected a folder of images, or an output of `belong score`, got neither "
            f"images nor {PREDICTIONS}"
        ) from None
    if not table.exists():
        return incoming
    images = [file for file in incoming.files if file != PICTURE]
    if images:
        raise InputError(
            f"{name}: expected a folder of images or the file {printable(table)}, got a folder of "
            f"both; one of the images is {printable(images[0])}"
        )
    return table


def scored(
    incoming: Incoming, model: Model, out: Path | None, options: ScoringOptions
) -> tuple[pd.DataFrame, Reasons]:
    """Score images; return their predictions, sorted by file time, and the unreadable files.

    Without `out` no file is written.

    Raises:
        InputError: as in `score_files`.
        TooManyBadFilesError: no image can be read.
        KeyboardInterrupt: with the progress in its message.
    """
    source = printable(incoming.top)
    # Read before scoring: a file that is deleted meanwhile then counts as unreadable.
    times = {file: _changed(incoming.path(file)) for file in incoming.files}
    if model.guarantee == PER_CLASS:  # the test is about one rate, with one threshold
        options = replace(options, guarantee=MARGINAL)
    read: list[str] = []  # exact names; the table may print two names alike
    with _output_folder(out, source) as folder:
        score_files(
            incoming, model, folder, options, source=source, say=on_stderr, finish=read.extend
        )
        rows = predictions.read(folder / PREDICTIONS)
        return predictions.by_time(rows, [times[file] for file in read]), _unreadable(folder)


def _changed(path: Path) -> int:
    """Return a file's modification time; 0 for a file that cannot be read."""
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


def _unreadable(folder: Path) -> Reasons:
    table = load_csv(folder / UNREADABLE, "path", "reason", as_text=True)
    return list(table.itertuples(index=False, name=None))


@contextmanager
def _output_folder(out: Path | None, source: str) -> Iterator[Path]:
    """Yield the folder for the tables: `out`, or a temporary folder if it is None."""
    if out is not None:
        yield out
        return
    with TemporaryDirectory(prefix="belong-") as name:
        try:
            yield Path(name)
        except TooManyBadFilesError as error:
            raise none_readable(source, error.unreadable) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"interrupted; nothing is kept without {named('output')}"
            ) from None
