"""One thing that is wrong with a folder, or worth knowing, and how much it matters."""

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

# spoils: trained on this, the results are wrong or there are none. matters: they are worse than
# they could be, or look better than they are. note: good to know.
Level = Literal["spoils", "matters", "note"]
LEVELS: tuple[Level, ...] = ("spoils", "matters", "note")
# From this share of the images on, what matters in one image spoils the whole.
MANY = 0.02


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        name: a short one for tables, such as `unreadable`.
        level: how much it matters.
        sentence: with the numbers, for people.
        images: (path, detail) of the images that it is about; none if it is about all.
    """

    name: str
    level: Level
    sentence: str
    images: list[tuple[str, str]] = field(default_factory=list)


def graver(count: int, total: int) -> Level:
    """Return the level of what matters in `count` of `total` images."""
    return "spoils" if is_many(count, total) else "matters"


def is_many(count: int, total: int) -> bool:
    """Return whether so many images of `total` decide about the whole."""
    return count >= MANY * total


def about(rows: pd.DataFrame, details: "pd.Series[str] | str" = "") -> list[tuple[str, str]]:
    """Return (path, detail) of the images in `rows`."""
    texts = [details] * len(rows) if isinstance(details, str) else list(details)
    return list(zip(rows["path"], texts, strict=True))
