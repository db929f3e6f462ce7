"""Put the images of a folder and their verdicts on one page.

Paths and names of classes are whatever somebody called a file. The template escapes every value,
what the script reads is JSON without a `<`, the script writes text and never HTML, and the page's
own policy allows the browser that one script, and no request.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from belong.reporting.gallery.data import Nearest, page_data
from belong.reporting.gallery.selection import shares
from belong.reporting.templates import environment, joined
from belong.runtime.text import printable

STYLES = ("reporting/report/family.css", "reporting/gallery/gallery.css")
SCRIPTS = (
    "reporting/report/charts.js",
    "reporting/gallery/text.js",
    "reporting/gallery/view.js",
    "reporting/gallery/pictures.js",
    "reporting/gallery/histogram.js",
    "reporting/gallery/tiles.js",
    "reporting/gallery/panel.js",
    "reporting/gallery/paths.js",
    "reporting/gallery/gallery.js",
)


def gallery_page(
    rows: pd.DataFrame,
    pictures: Mapping[int, np.ndarray],
    nearest: Mapping[int, Nearest],
    training_pictures: Mapping[int, np.ndarray] | np.ndarray,
    training_classes: Sequence[str],
    *,
    title: str,
    threshold: float,
    facts: Mapping[str, str],
) -> str:
    """Return the page: HTML that needs no other file and no network.

    Args:
        rows: one for each of the n images, with the columns of predictions.csv: `path`, `class`,
            `probability`, `belongs`, `p_value`, `score`, `nearest_class`, `distance`, `detector`,
            `reason`. All but `path`, `belongs` and `score` may be missing in a row.
        pictures: place in `rows` -> (ch, h, w) uint8, all of one shape: the images that the page
            holds. `selection.telling` chooses them, `sprite_sheets.reduced` makes them small.
        nearest: place in `rows` -> its nearest training images; it may lack some or all.
        training_pictures: place -> (ch, h, w) uint8, all of one shape; only those that are
            near an image go into the page.
        training_classes: their classes, by the same places.
        title: the heading: what was scored.
        threshold: the score up to which an image belongs.
        facts: label -> value, what else is to be said of the run; a count of the images and of
            those rejected is always there.

    Raises:
        ValueError: a column is missing, a score is not a finite number, or shapes differ.
    """
    templates = environment()
    style = joined(templates, STYLES)
    script = '"use strict";\n\n' + joined(templates, SCRIPTS)
    data = page_data(
        rows, pictures, nearest, training_pictures, training_classes, threshold=threshold
    )
    return templates.get_template("reporting/gallery/gallery.html").render(
        title=printable(title),
        policy=policy(style=style, script=script),
        style=style,
        script=script,
        facts=facts,
        threshold=threshold,
        total=len(rows),
        rejected=int((~rows["belongs"].astype(bool)).sum()),
        held=len(pictures),
        shares=shares(len(pictures)),
        data=data,
    )


def policy(*, style: str, script: str) -> str:
    """Return the page's Content-Security-Policy: this style, this script, pictures in the page."""
    return (
        f"default-src 'none'; img-src data:; style-src '{_hash(style)}'; "
        f"script-src '{_hash(script)}'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")
