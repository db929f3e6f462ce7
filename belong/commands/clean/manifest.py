"""What is said against images, and one table of all with the verdict and the reason of each."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

# quarantine: as it lies there it would do harm, and no eye is needed to say so. review: somebody
# should look. keep: nothing is said against it.
Verdict = Literal["quarantine", "review", "keep"]
VERDICTS: tuple[Verdict, ...] = ("quarantine", "review", "keep")
# What is known of judged images only: see `belong.commands.clean.label_issues`.
KNOWN = (
    "predicted_class", "probability", "p_wrong_class", "p_foreign", "false_alarms",
)  # fmt: skip
COLUMNS = ("path", "part", "class", "verdict", "problem", "reason", *KNOWN, "copy_of")


@dataclass(frozen=True)
class Remark:
    """What is said against an image.

    Attributes:
        row: of the image, among all files of the folder.
        verdict: that follows, if nothing graver is said.
        problem: a short name for tables, such as `copy`.
        sentence: for people.
        other: the row of the image that it is a copy of; -1 if it is none.
    """

    row: int
    verdict: Verdict
    problem: str
    sentence: str
    other: int = -1


def manifest(
    table: pd.DataFrame, remarks: Iterable[Remark], rows: np.ndarray, known: pd.DataFrame | None
) -> pd.DataFrame:
    """Return COLUMNS, a row for each file.

    The verdict and the problem are those of the gravest remark, of equally grave ones of the
    first; the reason is all of them.

    `table` has `path`, `part` and `class` of each file; `known` has KNOWN of those that were
    judged, the `rows` (m,) int64.
    """
    of_row: defaultdict[int, list[Remark]] = defaultdict(list)
    for remark in remarks:
        of_row[remark.row].append(remark)
    said = [
        sorted(of_row[row], key=lambda one: VERDICTS.index(one.verdict))
        for row in range(len(table))
    ]
    paths = table["path"].to_list()
    made = table.assign(
        verdict=[own[0].verdict if own else "keep" for own in said],
        problem=[own[0].problem if own else "" for own in said],
        reason=["; ".join(one.sentence for one in own) for own in said],
        copy_of=[next((paths[one.other] for one in own if one.other >= 0), "") for own in said],
    )
    if known is not None:
        made = made.join(known.set_index(rows)[list(KNOWN)])
    return made.reindex(columns=list(COLUMNS))
