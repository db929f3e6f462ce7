"""Combine the problems of each image into a verdict, and build the table manifest.csv."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

# quarantine: the image would harm training. review: a person should look. keep: no problem found.
Verdict = Literal["quarantine", "review", "keep"]
VERDICTS: tuple[Verdict, ...] = ("quarantine", "review", "keep")
# Columns of judged images only: see `belong.commands.clean.label_issues`.
KNOWN = (
    "predicted_class", "probability", "p_wrong_class", "p_foreign", "false_alarms",
)  # fmt: skip
COLUMNS = ("path", "part", "class", "verdict", "problem", "reason", *KNOWN, "copy_of")


@dataclass(frozen=True)
class Remark:
    """A problem of an image.

    Attributes:
        row: row of the image in the table of all files.
        verdict: the verdict of this problem; the most serious problem of an image decides.
        problem: short name, such as `copy`.
        sentence: description for people.
        other: row of the original of a copy, or -1.
    """

    row: int
    verdict: Verdict
    problem: str
    sentence: str
    other: int = -1


def manifest(
    table: pd.DataFrame, remarks: Iterable[Remark], rows: np.ndarray, evidence: pd.DataFrame | None
) -> pd.DataFrame:
    """Return a row for each file, with the columns COLUMNS.

    Verdict and problem are those of the first among the most serious remarks; the reason joins all
    remarks.

    Args:
        table: `path`, `part` and `class` of each file.
        remarks: the problems.
        rows: (m,) int64, the rows of the judged images.
        evidence: m rows with the columns KNOWN, or None.
    """
    of_row: defaultdict[int, list[Remark]] = defaultdict(list)
    for remark in remarks:
        of_row[remark.row].append(remark)
    problems = [
        sorted(of_row[row], key=lambda remark: VERDICTS.index(remark.verdict))
        for row in range(len(table))
    ]
    paths = table["path"].to_list()
    result = table.assign(
        verdict=[group[0].verdict if group else "keep" for group in problems],
        problem=[group[0].problem if group else "" for group in problems],
        reason=["; ".join(one.sentence for one in group) for group in problems],
        copy_of=[next((paths[x.other] for x in group if x.other >= 0), "") for group in problems],
    )
    if evidence is not None:
        result = result.join(evidence.set_index(rows)[list(KNOWN)])
    return result.reindex(columns=list(COLUMNS))
