"""What a cleaning leaves behind: tables, a page, and a tree of the images that are kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from belong.commands.clean.cleaned_tree import build
from belong.commands.clean.issue import VERDICTS
from belong.commands.clean.options import CleanOptions
from belong.commands.clean.page import suspects_page
from belong.data.image_folder import ImageFiles
from belong.runtime.errors import InputError
from belong.runtime.storage import save_csv, save_json, save_text
from belong.runtime.text import printable

MANIFEST, PAGE, SUMMARY, TREE = "manifest.csv", "suspects.html", "summary.json", "cleaned"


def check_place(out: Path, folder: Path, *, overwrite: bool) -> None:
    """Refuse to write where the images are, or over the results of another run.

    Raises:
        InputError: says which.
    """
    to, source = out.resolve(), folder.resolve()
    if to == source or source in to.parents:
        raise InputError(
            f"{printable(out)}: is in {printable(folder)}, in which nothing is changed; wanted a "
            f"folder outside"
        )
    if to in source.parents:
        raise InputError(f"{printable(out)}: holds {printable(folder)}; wanted another folder")
    there = [name for name in (MANIFEST, PAGE, SUMMARY, TREE) if (out / name).exists()]
    if there and not overwrite:
        raise InputError(
            f"{printable(out)}: has the {there[0]} of another run; wanted another folder, or "
            f"--overwrite"
        )


def save_manifest(out: Path, manifest: pd.DataFrame) -> None:
    """Write manifest.csv alone."""
    save_csv(out / MANIFEST, manifest)


def save(
    out: Path,
    manifest: pd.DataFrame,
    found: ImageFiles,
    images: Mapping[int, np.ndarray],
    *,
    options: CleanOptions,
) -> dict[str, Any]:
    """Write all; return what summary.json holds.

    Args:
        out: the folder.
        manifest: see `belong.commands.clean.manifest`.
        found: the files, in the order of its rows.
        images: row -> (ch, h, w) uint8, of those that can be shown.
        options: the stated share, the number of folds, and which tree is built.
    """
    stated = {"false_alarms": options.false_alarms, "folds": options.folds}
    summary = _summary(manifest) | stated
    source = printable(found.folder)
    page = suspects_page(
        manifest, images, title=source, facts={"images": len(manifest), **summary["verdicts"]}
    )
    save_csv(out / MANIFEST, manifest)
    save_text(out / PAGE, page)
    tree = options.tree
    if tree is not None:
        wanted = {"keep", "review"} if options.with_review else {"keep"}
        kept = manifest["verdict"].isin(wanted).to_numpy()
        files = [file for file, is_kept in zip(found.files, kept, strict=True) if is_kept]
        build(out / TREE, found.folder, files, tree=tree)
        summary |= {
            "tree": {"made_of": tree, "with_review": options.with_review, "images": len(files)}
        }
    summary = {"source": source, **summary}
    save_json(out / SUMMARY, summary)
    return summary


def _summary(manifest: pd.DataFrame) -> dict[str, Any]:
    """Count the verdicts, the problems, and the verdicts in each class."""
    counts = manifest["verdict"].value_counts()
    by_class = pd.crosstab(manifest["class"], manifest["verdict"])
    by_class = by_class.reindex(columns=list(VERDICTS), fill_value=0)
    problems = manifest.loc[manifest["problem"] != "", ["verdict", "problem"]]
    return {
        "images": len(manifest),
        "verdicts": {verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS},
        "problems": {
            verdict: {str(name): int(n) for name, n in own["problem"].value_counts().items()}
            for verdict, own in problems.groupby("verdict")
        },
        "classes": by_class.to_dict("index"),
    }
