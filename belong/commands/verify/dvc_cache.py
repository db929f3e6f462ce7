"""Find files in DVC's cache, where each file's name is the MD5 of its bytes."""

import json
from collections.abc import Mapping
from pathlib import Path

from belong.runtime.errors import InputError

FOLDER = ".dir"  # suffix of a folder's checksum, and of the file that lists its members


def cache_of(root: Path) -> Path:
    """Return the folder of DVC's cache for the pipeline in `root`.

    Raises:
        InputError: DVC's configuration is damaged.
    """
    from dvc.config import Config, ConfigError  # imported here: `--help` does not need it

    try:
        folder = Config(str(root / ".dvc")).get("cache", {}).get("dir")
    except ConfigError as error:
        raise InputError(f"{root / '.dvc'}: {' '.join(str(error).split())}") from None
    return (root / ".dvc" / "cache" if folder is None else Path(folder)) / "files" / "md5"


def kept_for(cache: Path, md5: str) -> list[Path]:
    """Return the cached file of an output; for a folder, its listing and all its members."""
    path = _path_of(cache, md5)
    inside = members(path) if md5.endswith(FOLDER) else {}
    return [path, *(_path_of(cache, member) for member in (inside or {}).values())]


def name_of(path: Path) -> str:
    """Return the checksum in the name of a cached file."""
    return path.parent.name + path.name.removesuffix(FOLDER)


def members(listing: Path) -> dict[str, str] | None:
    """Return path -> checksum of the files of a folder; None if the list is missing or damaged."""
    try:
        return {str(one["relpath"]): str(one["md5"]) for one in json.loads(listing.read_bytes())}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def listing_bytes(sums: Mapping[str, str | None]) -> bytes:
    """Return the bytes of DVC's listing of a folder with the checksums `sums`."""
    files = sorted(sums.items(), key=lambda item: item[0].split("/"))
    return json.dumps([{"md5": md5, "relpath": path} for path, md5 in files]).encode()


def _path_of(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]
