"""DVC's cache: each file in it is named by the MD5 of its bytes, and DVC does not look again."""

import json
from collections.abc import Mapping
from pathlib import Path

from belong.runtime.errors import InputError

FOLDER = ".dir"  # ends the sum of a folder, and the name of the file that lists its members


def cache_of(root: Path) -> Path:
    """Return where DVC keeps the files of the pipeline in `root`.

    Raises:
        InputError: DVC's configuration is damaged.
    """
    from dvc.config import Config, ConfigError  # not at the top: the help needs none of it

    try:
        where = Config(str(root / ".dvc")).get("cache", {}).get("dir")
    except ConfigError as error:
        raise InputError(f"{root / '.dvc'}: {' '.join(str(error).split())}") from None
    return (root / ".dvc" / "cache" if where is None else Path(where)) / "files" / "md5"


def kept_for(cache: Path, md5: str) -> list[Path]:
    """Return where the cache keeps a file; of a folder, the list of its members, and them."""
    own = _place(cache, md5)
    inside = members(own) if md5.endswith(FOLDER) else {}
    return [own, *(_place(cache, one) for one in (inside or {}).values())]


def name_of(path: Path) -> str:
    """Return the sum that a file of the cache ought to have."""
    return path.parent.name + path.name.removesuffix(FOLDER)


def members(listing: Path) -> dict[str, str] | None:
    """Return path -> sum of the files of a folder; None if the list is missing or damaged."""
    try:
        return {str(one["relpath"]): str(one["md5"]) for one in json.loads(listing.read_bytes())}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def listing(sums: Mapping[str, str | None]) -> bytes:
    """Return the list that DVC keeps of a folder: path -> sum, as it writes them."""
    files = sorted(sums.items(), key=lambda one: one[0].split("/"))
    return json.dumps([{"md5": md5, "relpath": path} for path, md5 in files]).encode()


def _place(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]
