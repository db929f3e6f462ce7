"""Render the suspects of `belong clean` as one page: picture, class and reason.

Names of files and classes are not trusted: the template escapes every value, and the content
security policy of the page allows no script and no request.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from belong.commands.check.options import MAX_PIXELS
from belong.reporting.photos import photo_uris
from belong.reporting.templates import render_page

# Problem -> its heading; problems that a person has to decide come first.
HEADINGS = {
    "wrong_class": "Probably mislabeled",
    "foreign": "Probably of no class",
    "two_classes": "Same image in two classes",
    "near_copy": "Near duplicates",
    "nearly_blank": "Nearly blank",
    "tiny": "Very small",
    "too_few": "Classes with too few images",
    "copy": "Duplicates",
    "blank": "Blank",
    "unreadable": "Unreadable",
}
MOST = 300  # images shown per heading; manifest.csv lists all
BACKGROUND = (255, 255, 255)  # color behind transparent pixels
STYLES = ("reporting/report/family.css", "reporting/tiles.css", "commands/clean/page.css")


def suspects_page(
    manifest: pd.DataFrame,
    images: Mapping[int, Path | np.ndarray],
    *,
    title: str,
    facts: Mapping[str, int],
    notes: Sequence[str] = (),
) -> str:
    """Return the page as self-contained HTML.

    Args:
        manifest: the table of all images.
        images: row of the manifest -> the file, or (ch, h, w) uint8, of each readable image.
        title: the name of the folder.
        facts: label -> number, shown at the top.
        notes: sentences on the quality of the judgment.
    """
    sections, shown_rows = [], []
    for problem, heading in HEADINGS.items():
        rows = manifest[manifest["problem"] == problem].sort_values("false_alarms", kind="stable")
        if len(rows):
            first = rows.head(MOST)
            records = first.reset_index(names="row").to_dict("records")
            sections.append((problem, heading, len(rows), records))
            shown_rows += first.index.tolist()
    pictures = photo_uris(
        {str(row): images[row] for row in shown_rows if row in images},
        max_pixels=MAX_PIXELS,
        background=BACKGROUND,
    )
    return render_page(
        "commands/clean/page.html",
        styles=STYLES,
        title=title,
        facts=facts,
        notes=[note[:1].upper() + note[1:] for note in notes],
        sections=sections,
        pictures=pictures,
    )
