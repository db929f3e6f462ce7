"""Write the results of a search: tables, a page, and a summary, which is written last."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from belong.commands.find.images import Images
from belong.commands.find.methods import METHODS, Strangeness
from belong.commands.find.page import find_page
from belong.prediction.prediction_files import IGNORED, SUMMARY, UNREADABLE, check_outside
from belong.runtime.argument_names import named
from belong.runtime.errors import InputError
from belong.runtime.storage import save_csv, save_json, save_text
from belong.runtime.text import counted, printable
from belong.runtime.unfinished import is_unfinished

TABLE, PAGE = "strange.csv", "gallery.html"
NO_PROMISE = (
    "This is a ranking, not a verdict: every folder has a most unusual image, and the ranking does "
    "not tell how many images are foreign."
)


def table_of(images: Images, unit: np.ndarray, strangeness: Strangeness) -> pd.DataFrame:
    """Return a row for each of the n images, the most unusual first.

    Columns: `rank` (copies share one), `path`, `score`; for each method its score and
    `METHOD_rank`; `group`, a number shared by the copies of an image, empty without copies; `unit`
    (see below); `row`, the index in `images`.

    Args:
        images: the n images.
        unit: (n,) int64, the number of the distinct image, 0..m-1, of each image.
        strangeness: the scores of the m distinct images.
    """
    columns = {"score": strangeness.combined} | dict(strangeness.methods)
    sizes = np.bincount(unit)
    table = pd.DataFrame({"path": images.names, "unit": unit, "row": np.arange(len(unit))})
    for name, scores in columns.items():
        table[name] = scores[unit]
        # Among equal scores, the first image of the folder gets the lowest rank.
        ranks = np.empty(len(scores), np.int64)
        ranks[np.argsort(-scores, kind="stable")] = np.arange(1, len(scores) + 1)
        table["rank" if name == "score" else f"{name}_rank"] = ranks[unit]
    table = table.sort_values(["rank", "row"], ignore_index=True)
    first = table.drop_duplicates("unit")["unit"]
    shared = first[sizes[first] > 1]
    numbers = dict(zip(shared, range(1, len(shared) + 1), strict=True))
    table["group"] = [str(numbers.get(one, "")) for one in table["unit"]]
    names = [column for name in METHODS for column in (name, f"{name}_rank")]
    return table[["rank", "path", "score", *names, "group", "unit", "row"]]


def save(
    output: Path, table: pd.DataFrame, images: Images, *, summary: Mapping[str, Any], top: int
) -> None:
    """Write all files to `output`, summary.json last."""
    save_unreadable(output, images)
    save_csv(output / TABLE, table.drop(columns=["unit", "row"]))
    facts = {
        "images": f"{summary['images']:,}",
        "distinct images": f"{summary['distinct']:,}",
        "unreadable files": f"{summary['unreadable']:,}",
        "compared by": summary["features"],
    }
    notes = [NO_PROMISE, *summary["notes"]]
    page = find_page(table, images, top=top, title=summary["source"], facts=facts, notes=notes)
    save_text(output / PAGE, page)
    save_json(output / SUMMARY, dict(summary))


def save_unreadable(output: Path, images: Images) -> None:
    """Write unreadable.csv and ignored.csv."""
    for name, pairs in ((UNREADABLE, images.unreadable), (IGNORED, images.ignored)):
        save_csv(output / name, pd.DataFrame(pairs, columns=["path", "reason"]))


def check_free(output: Path, folder: Path, *, overwrite: bool) -> None:
    """Refuse an output folder inside the image folder, or with the results of another run.

    Raises:
        InputError: the output folder is refused.
    """
    check_outside(output, str(folder if folder.is_dir() else ""))
    names = (TABLE, PAGE, UNREADABLE, IGNORED, SUMMARY)
    existing = [name for name in names if os.path.lexists(output / name)]
    if existing and not overwrite and not is_unfinished(output, run_of(folder)):
        raise InputError(
            f"{printable(output)}: has the {existing[0]} of another run; expected another folder, "
            f"or {named('overwrite', value=True)}"
        )


def run_of(folder: Path) -> str:
    """Return the content of the marker file of an unfinished search."""
    return json.dumps({"find": str(folder.resolve())})


def in_words(summary: Mapping[str, Any], output: Path) -> str:
    """Format the results in a few lines."""
    unread = summary["unreadable"]
    left_out = f"; {counted(unread, 'file')} cannot be read" if unread else ""
    first = "\n".join(f"  {one['rank']}. {one['path']}" for one in summary["strangest"][:5])
    return (
        f"{counted(summary['images'], 'image')}, {summary['distinct']:,} distinct{left_out}\n"
        f"the most unusual:\n{first}\n"
        f"{NO_PROMISE}\n"
        f"{printable(output / PAGE)} shows them; {TABLE} ranks every image"
    )
