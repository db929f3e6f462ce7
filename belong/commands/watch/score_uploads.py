"""Score a folder of new images, as `belong score` does, for a look at their stream."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from belong.commands.watch import predictions
from belong.data.file_discovery import Incoming
from belong.prediction.prediction_files import PREDICTIONS, UNREADABLE
from belong.runtime.errors import TooManyBadFilesError
from belong.runtime.storage import load_csv
from belong.runtime.text import in_table


@dataclass(frozen=True)
class Uploads:
    """What came of a folder of images.

    Attributes:
        rows: as `stream.read` returns them, in the order of the times of the files.
        unreadable: (path, reason) of the files that cannot be read.
    """

    rows: pd.DataFrame
    unreadable: list[tuple[str, str]]


def scored(
    incoming: Incoming, out: Path | None, *, source: str, score: Callable[[Path], object]
) -> Uploads:
    """Score the images, and put them into the order of time.

    Args:
        incoming: the files.
        out: keeps the tables; None: nothing does.
        source: what the user calls the files.
        score: `scoring_run.score_files` of these files, but for the folder of its tables.

    Raises:
        InputError: as `score_files`; TooManyBadFilesError: no image can be read.
        KeyboardInterrupt: says what of it is kept.
    """
    # Before they are scored: what goes away meanwhile is then one that cannot be read.
    times = {in_table(file): _changed(incoming.path(file)) for file in incoming.files}
    with _kept(out, source) as folder:
        score(folder)
        rows = predictions.read([folder / PREDICTIONS], times.__getitem__)
        return Uploads(rows, _unreadable(folder))


def _changed(path: Path) -> int:
    """Return the time of a file's last change; of none, for it will not be read, 0."""
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


def _unreadable(folder: Path) -> list[tuple[str, str]]:
    table = load_csv(folder / UNREADABLE, "path", "reason", as_text=True)
    return list(table.itertuples(index=False, name=None))


@contextmanager
def _kept(out: Path | None, source: str) -> Iterator[Path]:
    """Yield the folder for the tables; where none is wanted, one that is gone in the end."""
    if out is not None:
        yield out
        return
    with TemporaryDirectory(prefix="belong-") as name:
        try:
            yield Path(name)
        except TooManyBadFilesError:
            path, reason = _unreadable(Path(name))[0]
            raise TooManyBadFilesError(
                f"{source}: no image can be read; the first: {path} ({reason})"
            ) from None
        except KeyboardInterrupt:
            raise KeyboardInterrupt("interrupted; nothing is kept without -o FOLDER") from None
