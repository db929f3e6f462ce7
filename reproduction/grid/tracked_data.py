"""Find the folders of images that a clone contains: those tracked by git or DVC."""

from collections.abc import Iterable, Iterator
from pathlib import Path


def not_kept(root: Path, committed: Iterable[str], folders: Iterable[str]) -> Iterator[str]:
    """Yield the folders, given relative to `root`, that neither git nor DVC keeps.

    Args:
        root: the repository.
        committed: the paths that git keeps.
        folders: the folders in question; absolute ones are the same for every clone.
    """
    from dvc.exceptions import OutputNotFoundError  # not at the top: it takes a second
    from dvc.repo import Repo

    parents = {str(parent) for path in committed for parent in Path(path).parents}
    with Repo(str(root)) as repo:
        for folder in folders:
            if str(Path(folder)) in parents or Path(folder).is_absolute():
                continue
            try:
                repo.find_outs_by_path(str(root / folder))
            except OutputNotFoundError:
                yield folder
