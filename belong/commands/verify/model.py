"""Compare every file of a model with its manifest."""

from pathlib import Path

from belong.commands.verify.digests import Finding, digests
from belong.prediction.manifest import NAME, Manifest
from belong.runtime.errors import InputError
from belong.runtime.text import printable

AGAIN = "copy the model again from its source, or fit it again"


def verify(folder: Path) -> tuple[int, list[Finding]]:
    """Read the files of a manifest; return the number of files, and the mismatches.

    Raises:
        InputError: the manifest cannot be read.
        IntegrityError: the manifest is damaged, or has another format.
    """
    path = folder / NAME
    if not path.is_file():
        raise InputError(f"{printable(path)}: expected the manifest of a model, got no file")
    files = {folder / name: file for name, file in Manifest.read(path).files.items()}
    sums = digests(files, "sha256")
    findings = [
        Finding(printable(path), _wrong(path, file.bytes), AGAIN)
        for path, file in files.items()
        if sums[path] != file.sha256
    ]
    return len(files) + 1, findings


def _wrong(path: Path, size: int) -> str:
    if not path.exists():
        return "is missing"
    if not path.is_file():
        return "is not a file"
    actual_size = path.stat().st_size
    return "is altered" if actual_size == size else f"expected {size} bytes, got {actual_size}"
