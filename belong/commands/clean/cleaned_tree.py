"""Build a folder of the images that are kept, by links or by copies; the source stays as it is."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from belong.commands.clean.options import Tree
from belong.runtime.progress import bar
from belong.runtime.storage import whole_folder


def build(to: Path, source: Path, files: Iterable[Path], *, tree: Tree) -> None:
    """Put files at the same places below `to`, which appears when all are there.

    Args:
        to: the folder that is made, or replaced.
        source: where the files lie.
        files: paths relative to it.
        tree: "link": symbolic links, to the absolute path; "copy": the bytes and the time.
    """
    wanted = list(files)
    top = source.resolve()
    with whole_folder(to) as part, bar(len(wanted), tree, "file") as progress:
        for file in wanted:
            made = part / file
            made.parent.mkdir(parents=True, exist_ok=True)
            if tree == "link":
                made.symlink_to(top / file)
            else:
                shutil.copy2(top / file, made)
            progress.update()
