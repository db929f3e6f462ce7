"""The answer of `belong.clean`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from belong.commands.clean.write_results import MANIFEST
from belong.runtime.storage import load_csv

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class CleanResult:
    """The verdicts on the images of a folder.

    Attributes:
        output: the folder of manifest.csv, suspects.html and summary.json.
        summary: the content of summary.json: the counts.
    """

    output: Path
    summary: Mapping[str, Any]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each image, as text: the table manifest.csv.

        Example:
            >>> result = belong.clean("digits", "cleaned", settings={"train.epochs": 1})
            >>> result.to_pandas()["class"].unique().tolist()
            ['0', '1']
        """
        return load_csv(self.output / MANIFEST, as_text=True)
