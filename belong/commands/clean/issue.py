"""One thing to be said against an image, and what follows from it."""

from dataclasses import dataclass
from typing import Literal

# quarantine: as it lies there it would do harm, and no eye is needed to say so. review: somebody
# should look. keep: nothing is said against it.
Verdict = Literal["quarantine", "review", "keep"]
VERDICTS: tuple[Verdict, ...] = ("quarantine", "review", "keep")


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
