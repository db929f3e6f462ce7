"""Every file of a model against its manifest, without taking it into memory."""

from pathlib import Path

from belong.commands.verify.digests import Finding, digests
from belong.prediction.manifest import NAME, Manifest
from belong.runtime.errors import InputError
from belong.runtime.text import printable

AGAIN = "take the model again from where it came, or fit it again"


def verify(folder: Path) -> tuple[int, list[Finding]]:
    """Read every file that the manifest names; return how many files, and what does not match.

    Raises:
        InputError: the manifest cannot be read.
        IntegrityError: it is damaged, or of another format.
    """
    path = folder / NAME
    if not path.is_file():
        raise InputError(f"{printable(path)}: is no file; expected the manifest of a model")
    stored = {folder / name: file for name, file in Manifest.read(path).files.items()}
    sums = digests(stored, "sha256")
    findings = [
        Finding(printable(path), _wrong(path, file.bytes), AGAIN)
        for path, file in stored.items()
        if sums[path] != file.sha256
    ]
    return len(stored) + 1, findings


def _wrong(path: Path, size: int) -> str:
    if not path.exists():
        return "is missing"
    if not path.is_file():
        return "is no file"
    has = path.stat().st_size
    return "is altered" if has == size else f"has {has} bytes, {size} were saved"
