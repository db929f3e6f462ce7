"""What a cleaning leaves behind: tables, a page, and a tree of the images that are kept."""

import itertools
import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from belong.commands.clean.manifest import VERDICTS
from belong.commands.clean.options import CleanOptions, Tree
from belong.commands.clean.page import suspects_page
from belong.commands.clean.sight import in_words, refusals
from belong.data.image_folder import ImageFiles
from belong.runtime.errors import InputError
from belong.runtime.file_placement import place
from belong.runtime.process_lock import one_writer
from belong.runtime.progress import bar
from belong.runtime.storage import save_csv, save_json, save_text, whole_folder
from belong.runtime.text import on_stderr, printable
from belong.runtime.unfinished import is_unfinished, unfinished

MANIFEST, PAGE, SUMMARY, TREE = "manifest.csv", "suspects.html", "summary.json", "cleaned"


def check_place(out: Path, folder: Path, *, overwrite: bool) -> None:
    """Refuse to write where the images are, or over the results of another run.

    Raises:
        InputError: says which.
    """
    to, source = out.resolve(), folder.resolve()
    if to == source or source in to.parents:
        raise InputError(
            f"{printable(out)}: is in {printable(folder)}, in which nothing is changed; expected a "
            f"folder outside"
        )
    if to in source.parents:
        raise InputError(f"{printable(out)}: holds {printable(folder)}; expected another folder")
    there = [name for name in (MANIFEST, PAGE, SUMMARY, TREE) if os.path.lexists(out / name)]
    if there and not overwrite and not is_unfinished(out, run_of(folder)):
        raise InputError(
            f"{printable(out)}: has the {there[0]} of another run; expected another folder, or "
            f"--overwrite"
        )


def run_of(folder: Path) -> str:
    """Return what stands for a cleaning of a folder while its results are not all written."""
    return json.dumps({"clean": str(folder.resolve())})


def save(
    out: Path,
    manifest: pd.DataFrame,
    found: ImageFiles,
    images: Collection[int],
    *,
    options: CleanOptions,
    sight: Mapping[str, Any],
) -> dict[str, Any]:
    """Write all; return what summary.json holds, which is written last.

    A run that is killed between two of them is finished by the same call.

    `found` are the files of the manifest's rows; the rows of `images` are those that can be shown.
    `sight` says how well they could be judged: see `belong.commands.clean.sight`.
    """
    source = printable(found.folder)
    stated = {"false_alarms": options.false_alarms, "folds": options.folds}
    summary = {"source": source} | _summary(manifest) | stated | {"sight": dict(sight)}
    photos = {row: found.folder / found.files[row] for row in images}
    page = suspects_page(
        manifest,
        photos,
        title=source,
        facts={"images": len(manifest), **summary["verdicts"]},
        notes=[*in_words(sight), *refusals(sight)],
    )
    with one_writer(out / MANIFEST, on_stderr):
        check_place(out, found.folder, overwrite=options.overwrite)  # another run may have ended
        with unfinished(out, run_of(found.folder)):
            save_csv(out / MANIFEST, manifest)
            save_text(out / PAGE, page)
            tree = options.tree
            if tree is not None:
                wanted = {"keep", "review"} if options.with_review else {"keep"}
                kept = manifest["verdict"].isin(wanted).to_numpy()
                files = list(itertools.compress(found.files, kept))
                build(out / TREE, found.folder, files, tree=tree)
                made_of = {"made_of": tree, "with_review": options.with_review}
                summary |= {"tree": made_of | {"images": len(files)}}
            save_json(out / SUMMARY, summary)
    return summary


def build(to: Path, source: Path, files: Sequence[Path], *, tree: Tree) -> None:
    """Put files at the same places below `to`, which appears when all are there.

    Args:
        to: the folder that is made, or replaced.
        source: where the files lie.
        files: paths relative to it.
        tree: "link": symbolic links, to the absolute path; "copy": the bytes and the time.
    """
    top = source.resolve()
    with whole_folder(to) as part, bar(len(files), tree, "file") as progress:
        for file in files:
            place(top / file, part / file, tree)
            progress.update()


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
