"""Render the gallery of the most unusual images, by method side by side, as in the paper.

File names are not trusted: the template escapes every value, and the content security policy of the
page allows no script and no request.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from belong.commands.check.options import MAX_PIXELS
from belong.commands.find.images import Images
from belong.commands.find.methods import METHODS
from belong.reporting.photos import photo_uris
from belong.reporting.templates import render_page
from belong.runtime.text import counted

BACKGROUND = (255, 255, 255)  # color behind transparent pixels
STYLES = ("reporting/report/family.css", "reporting/tiles.css", "commands/find/page.css")
OF_PIXELS = "Ranked by the median over the four methods of how rare a score is."
OF_EMBEDDINGS = (
    "Ranked by how rare the distance to the nearest images and the pattern of active nodes are."
)


def find_page(
    table: pd.DataFrame,
    images: Images,
    *,
    top: int,
    title: str,
    facts: Mapping[str, str],
    notes: Sequence[str],
) -> str:
    """Render the page as self-contained HTML.

    Args:
        table: a row for each image, see `belong.commands.find.results`; `row` is its index in
            `images`.
        images: the available images.
        top: number of images per method; a group of copies shows its first image.
        title: of the page.
        facts: short phrases.
        notes: sentences.
    """
    singles = table.drop_duplicates("unit")
    sizes = table["unit"].value_counts()
    tops = {name: singles.nsmallest(top, f"{name}_rank") for name in METHODS}
    usual = singles.nsmallest(top, "reconstruction")
    combined = singles.nsmallest(top, "rank")
    rows = pd.concat([combined, usual, *tops.values()])["row"].unique().tolist()
    pictures = photo_uris(
        {str(row): images.sources[row] for row in rows},
        max_pixels=MAX_PIXELS,
        background=BACKGROUND,
    )
    return render_page(
        "commands/find/page.html",
        styles=STYLES,
        title=title,
        facts=facts,
        notes=notes,
        methods=[
            {"name": name, "heading": method.heading, "words": method.words, "short": method.short}
            | {"top": _cards(tops[name])}
            for name, method in METHODS.items()
        ],
        order=OF_EMBEDDINGS if images.content.ndim == 2 else OF_PIXELS,
        combined=[
            card | {"copies": _copies(int(sizes[card["unit"]]) - 1)} for card in _cards(combined)
        ],
        usual=_cards(usual),
        pictures=pictures,
    )


def _cards(rows: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rows.to_dict("records")]


def _copies(count: int) -> str:
    return f"and {counted(count, 'copy', 'copies')} of it" if count else ""
