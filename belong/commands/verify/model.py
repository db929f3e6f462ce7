"""Every file of a model against its manifest, without taking it into memory."""

from pathlib import Path

from belong.commands.verify.digests import digests
from belong.commands.verify.finding import Finding, Verified
from belong.prediction.manifest import NAME, Manifest
from belong.runtime.errors import InputError
from belong.runtime.text import printable

AGAIN = "take the model again from where it came, or fit it again"


def verify(folder: Path) -> Verified:
    """Read every file that the manifest names.

    Raises:
        InputError: the manifest cannot be read.
        IntegrityError: it is damaged, or of another format.
    """
    path = folder / NAME
    if not path.is_file():
        raise InputError(f"{printable(path)}: is no file; wanted the manifest of a model")
    manifest = Manifest.read(path)
    wanted = {folder / name: stored for name, stored in manifest.files.items()}
    sums = digests(wanted, "sha256")
    findings = [
        Finding(printable(path), _wrong(path, stored.bytes), AGAIN)
        for path, stored in wanted.items()
        if sums[path] != stored.sha256
    ]
    return Verified(len(wanted) + 1, findings)


def _wrong(path: Path, size: int) -> str:
    if not path.exists():
        return "is missing"
    if not path.is_file():
        return "is no file"
    has = path.stat().st_size
    return "is altered" if has == size else f"has {has} bytes, {size} were saved"
