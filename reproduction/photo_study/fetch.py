r"""Download the full-size photos of the studies: clothes, and groceries as anomalies.

    python -m reproduction.photo_study.fetch data/photos/clothing

Two public repositories are fetched with git, each at one commit, whose hash vouches for every byte:

- clothing-dataset (CC0 1.0), photos of clothes by phone, 400 px wide, of 20 kinds;
- GroceryStoreDataset (MIT), photos of fruits, vegetables and cartons on shelves, 348 px or more.

FOLDER/normal has three kinds of clothes, a folder for each; FOLDER/near other kinds; FOLDER/far
groceries. Of duplicate photos, one is taken.

Writes  folder  the three folders above; it appears only when complete
"""

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.storage import load_csv, whole_folder
from belong.runtime.text import say
from reproduction.photo_study.parts import CLOTHES, FAR, NEAR, NORMAL

EACH, OTHERS = 600, 500  # photos of each class, and of those near and far
OTHER_CLOTHES = ("Blazer", "Dress", "Hat", "Outwear", "Shoes", "Shorts", "Skirt")


@dataclass(frozen=True)
class Repository:
    """A repository, and the commit to fetch from it."""

    address: str
    commit: str


CLOTHING = Repository(
    "https://github.com/alexeygrigorev/clothing-dataset.git",
    "7ed86a9cc56763b6acb35e41cb35184e43a5d218",
)
GROCERIES = Repository(
    "https://github.com/marcusklasson/GroceryStoreDataset.git",
    "fc80ba90f803d79d0383df52c5a4ac5de99ff6fc",
)


def main(arguments: Sequence[str]) -> int:
    """Fetch, choose, copy; return the exit code."""
    options = _parser().parse_args(arguments)
    clothing = Repository(options.clothing, CLOTHING.commit)
    groceries = Repository(options.groceries, GROCERIES.commit)
    return exit_code_of(lambda: _fetch(options.folder, clothing, groceries), say)


def _fetch(folder: Path, clothing: Repository, groceries: Repository) -> int:
    if folder.exists():
        raise InputError(f"{folder}: is there already; expected a folder that is not")
    with tempfile.TemporaryDirectory() as work, whole_folder(folder) as part:
        clothes, shop = Path(work, "clothing"), Path(work, "groceries")
        check_out(clothing, clothes)
        check_out(groceries, shop)
        arrange(clothes, shop, part)
    return 0


def check_out(repository: Repository, to: Path) -> None:
    """Fetch one commit of a repository, without its history.

    Raises:
        InputError: git is not installed, or cannot fetch the commit.
    """
    to.mkdir()
    git = shutil.which("git")
    if git is None:
        raise InputError("git: not found; it brings the photos")
    for words in (
        ("init", "--quiet"),
        ("fetch", "--quiet", "--depth", "1", repository.address, repository.commit),
        ("checkout", "--quiet", "--detach", "FETCH_HEAD"),
    ):
        process = subprocess.run(  # noqa: S603  (git, with words of this file)
            [git, "-C", str(to), *words], capture_output=True, text=True, check=False
        )
        if process.returncode:
            reason = (process.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise InputError(f"{repository.address}: commit {repository.commit}: {reason}")


def arrange(clothing: Path, groceries: Path, to: Path) -> None:
    """Copy the photos of the studies to `to`.

    Args:
        clothing: the first repository's files.
        groceries: the second's.
        to: the folder that is filled.
    """
    table = load_csv(clothing / "images.csv")
    digests: set[str] = set()
    for name in CLOTHES:
        _copy(_once(_photos(clothing, table, (name,)), digests), to / NORMAL / name, EACH)
    _copy(_once(_photos(clothing, table, OTHER_CLOTHES), digests), to / NEAR, OTHERS)
    shelves = sorted((groceries / "dataset" / "train").rglob("*.jpg"))
    _copy(_once(shelves[:: max(1, len(shelves) // OTHERS)], digests), to / FAR, OTHERS)


def _photos(clothing: Path, table: pd.DataFrame, kinds: Sequence[str]) -> list[Path]:
    """Return the photos of some kinds of clothes for adults, sorted; their names are random."""
    rows = table[table["label"].isin(kinds) & ~table["kids"]]
    return sorted(clothing / "images" / f"{name}.jpg" for name in rows["image"])


def _once(files: Iterable[Path], digests: set[str]) -> Iterator[Path]:
    """Yield the existing files whose bytes have not been seen before."""
    for file in files:
        if file.is_file():
            digest = hashlib.sha256(file.read_bytes()).hexdigest()
            if digest not in digests:
                digests.add(digest)
                yield file


def _copy(files: Iterator[Path], to: Path, count: int) -> None:
    to.mkdir(parents=True)
    for number, (_, file) in enumerate(zip(range(count), files, strict=False)):
        shutil.copyfile(file, to / f"{number:04d}.jpg")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reproduction.photo_study.fetch",
        description="Bring the full-size photos of the studies, 270 MB to download.",
    )
    parser.add_argument("folder", type=Path, help="to make")
    for name, one in (("clothing", CLOTHING), ("groceries", GROCERIES)):
        parser.add_argument(
            f"--{name}", default=one.address, metavar="REPOSITORY", help="another copy of it"
        )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
