"""Write the results of a cleaning: tables, a page, and a tree of the images to keep."""

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
from belong.commands.clean.reliability import in_words, refusals
from belong.data.image_folder import ImageFiles
from belong.runtime.argument_names import named
from belong.runtime.errors import InputError
from belong.runtime.file_placement import place
from belong.runtime.process_lock import one_writer
from belong.runtime.progress import bar
from belong.runtime.storage import save_csv, save_json, save_text, whole_folder
from belong.runtime.text import on_stderr, printable
from belong.runtime.unfinished import is_unfinished, unfinished

MANIFEST, PAGE, SUMMARY, TREE = "manifest.csv", "suspects.html", "summary.json", "cleaned"


def check_place(out: Path, folder: Path, *, overwrite: bool) -> None:
    """Refuse an output among the images, or with the results of another run.

    Raises:
        InputError: the output is refused; the message has the reason.
    """
    to, source = out.resolve(), folder.resolve()
    if to == source or source in to.parents:
        raise InputError(
            f"{printable(out)}: expected an output outside of {printable(folder)}, which is never "
            f"changed"
        )
    if to in source.parents:
        raise InputError(f"{printable(out)}: contains {printable(folder)}; expected another folder")
    existing = [name for name in (MANIFEST, PAGE, SUMMARY, TREE) if os.path.lexists(out / name)]
    if existing and not overwrite and not is_unfinished(out, run_of(folder)):
        raise InputError(
            f"{printable(out)}: has the {existing[0]} of another run; expected another folder, or "
            f"{named('overwrite', value=True)}"
        )


def run_of(folder: Path) -> str:
    """Return the identifier of an unfinished cleaning of a folder."""
    return json.dumps({"clean": str(folder.resolve())})


def save(
    out: Path,
    manifest: pd.DataFrame,
    image_files: ImageFiles,
    images: Collection[int],
    *,
    options: CleanOptions,
    reliability: Mapping[str, Any],
) -> dict[str, Any]:
    """Write all results, summary.json last; return the content of summary.json.

    After a kill between two files, the same call finishes the run.

    Args:
        out: the output folder.
        manifest: the table of all images.
        image_files: the files of the rows of the manifest.
        images: the rows of the readable images.
        options: the options of the cleaning.
        reliability: the quality of the judgment, see `belong.commands.clean.reliability`.
    """
    source = printable(image_files.folder)
    stated = {"false_alarms": options.false_alarms, "folds": options.folds}
    summary = {"source": source} | _summary(manifest) | stated | {"reliability": dict(reliability)}
    photos = {row: image_files.folder / image_files.files[row] for row in images}
    page = suspects_page(
        manifest,
        photos,
        title=source,
        facts={"images": len(manifest), **summary["verdicts"]},
        notes=[*in_words(reliability), *refusals(reliability)],
    )
    with one_writer(out / MANIFEST, on_stderr):
        # Another run may have ended meanwhile.
        check_place(out, image_files.folder, overwrite=options.overwrite)
        with unfinished(out, run_of(image_files.folder)):
            save_csv(out / MANIFEST, manifest)
            save_text(out / PAGE, page)
            tree = options.tree
            if tree is not None:
                verdicts = {"keep", "review"} if options.with_review else {"keep"}
                is_kept = manifest["verdict"].isin(verdicts).to_numpy()
                files = list(itertools.compress(image_files.files, is_kept))
                build(out / TREE, image_files.folder, files, tree=tree)
                about = {"made_of": tree, "with_review": options.with_review}
                summary |= {"tree": about | {"images": len(files)}}
            save_json(out / SUMMARY, summary)
    return summary


def build(to: Path, source: Path, files: Sequence[Path], *, tree: Tree) -> None:
    """Link or copy files to the same relative paths below `to`, which appears when complete.

    Args:
        to: the folder to create or replace.
        source: the folder of the files.
        files: paths relative to `source`.
        tree: "link": symbolic links to absolute paths; "copy": copies with their times.
    """
    top = source.resolve()
    with whole_folder(to) as part, bar(len(files), tree, "file") as progress:
        for file in files:
            place(top / file, part / file, tree)
            progress.update()


def _summary(manifest: pd.DataFrame) -> dict[str, Any]:
    """Count the verdicts, the problems, and the verdicts of each class."""
    counts = manifest["verdict"].value_counts()
    by_class = pd.crosstab(manifest["class"], manifest["verdict"])
    by_class = by_class.reindex(columns=list(VERDICTS), fill_value=0)
    problems = manifest.loc[manifest["problem"] != "", ["verdict", "problem"]]
    return {
        "images": len(manifest),
        "verdicts": {verdict: int(counts.get(verdict, 0)) for verdict in VERDICTS},
        "problems": {
            verdict: {str(name): int(n) for name, n in group["problem"].value_counts().items()}
            for verdict, group in problems.groupby("verdict")
        },
        "classes": by_class.to_dict("index"),
    }
