"""Files that cannot be read, that are passed over, or that are not what their names say."""

from collections.abc import Iterator
from pathlib import PurePath

import pandas as pd
from PIL import Image

from belong.commands.check.finding import Finding, about
from belong.data.image_reader import FORMATS
from belong.runtime.text import counted


def unreadable(seen: pd.DataFrame, *, max_bad_fraction: float) -> Iterator[Finding]:
    """Find files that give no image; more than `max_bad_fraction` of a folder's stop a training."""
    for folder, rows in seen.groupby("folder", sort=False):
        bad = rows[rows["reason"] != ""]
        if bad.empty:
            continue
        share = len(bad) / len(rows)
        limit = f"a training stops above {max_bad_fraction:.1%}"
        yield Finding(
            "unreadable",
            "spoils" if share > max_bad_fraction else "matters",
            f"{folder}: {counted(len(bad), 'file')} of {len(rows):,} ({share:.1%}) cannot be read; "
            f"{limit}",
            about(bad, bad["reason"]),
        )


def ignored(paths: list[tuple[str, str]]) -> Iterator[Finding]:
    """Tell what is no image by its name, or hidden: (path, reason)."""
    if paths:
        what = counted(len(paths), "file or folder", "files or folders")
        yield Finding("ignored", "note", f"{what} passed over: no image by name, or hidden", paths)


def misnamed(read: pd.DataFrame) -> Iterator[Finding]:
    """Tell of extensions that belong to another format; the content decides."""
    known = {end: kind for end, kind in Image.registered_extensions().items() if kind in FORMATS}
    ends = read["path"].map(lambda path: PurePath(path).suffix.lower())
    # An MPO is a JPEG with a second picture behind it: many cameras write them.
    kinds = read["kind"].replace({"MPO": "JPEG"})
    wrong = read[ends.isin(known) & (ends.map(known) != kinds) & (kinds != "")]
    if len(wrong):
        sentence = f"{counted(len(wrong), 'file')} of another format than the name says; read alike"
        yield Finding("misnamed", "note", sentence, about(wrong, "is " + wrong["kind"]))


def animated(read: pd.DataFrame) -> Iterator[Finding]:
    """Tell of files with several frames."""
    rows = read[read["is_animated"]]
    if len(rows):
        sentence = f"{counted(len(rows), 'file')} with several frames; only the first is taken"
        yield Finding("animated", "note", sentence, about(rows))
