"""Write rows of CSV in which a carriage return, that a file's name may have, ends no row.

Before Python 3.13 `csv` quotes a cell for a line feed, and for what its own rows end with; readers
take a bare carriage return for the end of a row.
"""

import csv
from collections.abc import Iterable
from typing import TextIO

ENDS = "\r\n"  # what makes `csv` quote a cell with either


class Lines:
    """A file in which each row ends with a line feed alone."""

    def __init__(self, file: TextIO) -> None:
        self.file = file

    def write(self, row: str) -> int:
        """Write what `csv` makes of a row: it calls this once for each."""
        return self.file.write(row.removesuffix(ENDS) + "\n")


def save_rows(file: TextIO, rows: Iterable[Iterable[object]]) -> None:
    """Write rows into a file that was opened with `newline=""`."""
    csv.writer(Lines(file), lineterminator=ENDS).writerows(rows)
