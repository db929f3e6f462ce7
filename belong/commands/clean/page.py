"""The images to look at, on one page: pictures, the class that each stands in, and the reason.

Paths and names of classes are whatever somebody called a file: the template escapes every value,
and the page's own policy allows no script and no request.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from belong.commands.check.options import MAX_PIXELS
from belong.reporting.gallery.render import policy
from belong.reporting.photos import photo_uris
from belong.reporting.templates import environment, joined

# problem -> its heading, those that an eye decides first.
HEADINGS = {
    "wrong_class": "Looks like another class",
    "foreign": "Looks like no class",
    "two_classes": "The same image in two classes",
    "near_copy": "Nearly the same image",
    "nearly_blank": "Nearly one color",
    "tiny": "Tiny",
    "too_few": "Class with too few images",
    "copy": "The same image",
    "blank": "One color",
    "unreadable": "Cannot be read",
}
MOST = 300  # images under one heading; the manifest has all
BACKGROUND = (255, 255, 255)  # below transparent parts
STYLES = ("reporting/report/family.css", "reporting/tiles.css", "commands/clean/page.css")


def suspects_page(
    manifest: pd.DataFrame,
    images: Mapping[int, Path | np.ndarray],
    *,
    title: str,
    facts: Mapping[str, int],
    notes: Sequence[str] = (),
) -> str:
    """Return the page: HTML that needs no other file.

    `images` are those that can be shown: row of the manifest -> the file, or (ch, h, w) uint8.
    `notes` say how well the images could be judged.
    """
    sections, shown = [], []
    for problem, heading in HEADINGS.items():
        rows = manifest[manifest["problem"] == problem].sort_values("false_alarms", kind="stable")
        if len(rows):
            first = rows.head(MOST)
            records = first.reset_index(names="row").to_dict("records")
            sections.append((problem, heading, len(rows), records))
            shown += first.index.tolist()
    pictures = photo_uris(
        {str(row): images[row] for row in shown if row in images},
        max_pixels=MAX_PIXELS,
        background=BACKGROUND,
    )
    templates = environment()
    style = joined(templates, STYLES)
    return templates.get_template("commands/clean/page.html").render(
        title=title,
        policy=policy(style=style, script=""),
        style=style,
        facts=facts,
        notes=[note[:1].upper() + note[1:] for note in notes],
        sections=sections,
        pictures=pictures,
    )
