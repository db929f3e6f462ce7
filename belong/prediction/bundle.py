"""Save and load a trained model as one folder: `manifest.json`, and arrays without pickle.

The files are safetensors:

network       the classifier; with a frozen backbone, only the layers above it
backbone      the frozen backbone, if there is one
autoencoder   the autoencoder, if a detector needs it
detectors     `DETECTOR/ARRAY` of the detectors in use
calibration   `DETECTOR` (n,): calibration scores of the deciding detector, for p-values;
              `predicted` (n,) int64: the predicted classes of these images; older models lack it;
              `member/DETECTOR` (m,): the scores that define the p-values of a member of `combined`
training      a sample of the training images: `features` (m, d) float32, `labels` (m,) int64, and
              their pictures, see `belong.prediction.training_thumbnails`
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from belong.models.backbones.card import OWN_MODULE
from belong.prediction.manifest import NAME, IntegrityError, Manifest, StoredFile
from belong.runtime.arguments import as_path
from belong.runtime.errors import InputError
from belong.runtime.storage import read_bytes, save_arrays, save_text, whole_folder

Arrays = Mapping[str, np.ndarray]

NEEDED = ("network", "detectors", "calibration", "training")
OPTIONAL = ("backbone", "autoencoder")
FILES = (*NEEDED, *OPTIONAL)
WEIGHTS = ("network", "backbone")
MOST_WEIGHTS, MOST_BYTES = 2**32, 3 * 2**27  # maximum size of a file, which may be sparse
MOST_TOTAL = 7 * 2**26  # maximum size of all files, without the weights of a named network
MOST_AXES = 8
REASON = 200  # maximum characters of a reason in a message
# Errors of safetensors on types and shapes unknown to NumPy.
UNREADABLE = (ArithmeticError, LookupError, OSError, SafetensorError, TypeError, ValueError)


@dataclass(frozen=True)
class Bundle:
    """A complete model.

    Attributes:
        manifest: the manifest.
        arrays: file, one of FILES, -> its arrays; files without arrays are missing.
    """

    manifest: Manifest
    arrays: Mapping[str, Arrays]

    def of_detector(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of a detector."""
        start = f"{name}/"
        arrays = self.arrays.get("detectors", {}).items()
        return {key.removeprefix(start): array for key, array in arrays if key.startswith(start)}

    def save(self, folder: Path) -> Self:
        """Write the folder atomically, and replace an existing one.

        Returns:
            The model with the written manifest, which names the files.
        """
        with whole_folder(folder) as part:
            files = {}
            for name in FILES:
                if self.arrays.get(name):
                    path = part / f"{name}.safetensors"
                    save_arrays(path, self.arrays[name])
                    content = path.read_bytes()
                    digest = hashlib.sha256(content).hexdigest()
                    files[path.name] = StoredFile(sha256=digest, bytes=len(content))
            manifest = self.manifest.model_copy(update={"files": files})
            save_text(part / NAME, manifest.text)
        return type(self)(manifest, self.arrays)

    @classmethod
    def load(cls, folder: str | PathLike[str], *, own_bytes: int = 0) -> Self:
        """Read a folder written by `save`; other files in it are ignored.

        Args:
            folder: the folder of the model.
            own_bytes: size of the weights of the user's backbone module, if there is one.

        Raises:
            InputError: the folder or its manifest is missing.
            IntegrityError: the format is unknown, or a file is missing, cut off or altered.
        """
        folder = as_path("folder", folder)
        if not folder.is_dir():
            raise InputError(f"{folder}: expected the folder of a model, got "
                             f"{'a file' if folder.exists() else 'no such folder'}")  # fmt: skip
        path = folder / NAME
        if not path.is_file():
            raise InputError(f"{folder}: expected the folder of a model, got no {NAME}")
        manifest = Manifest.read(path)
        named = {Path(name).stem for name in manifest.files}
        if not set(NEEDED) <= named <= set(FILES):
            raise IntegrityError(
                f"{path}: files: expected {', '.join(NEEDED)}, and optionally "
                f"{', '.join(OPTIONAL)}, got {', '.join(sorted(named))}"
            )
        _check_total(manifest, path, own_bytes)
        files = manifest.files.items()
        arrays = {Path(name).stem: _checked(folder / name, it) for name, it in files}
        held_out = arrays["calibration"].get(manifest.detector)
        if held_out is not None and held_out.shape != (manifest.n_calibration,):
            raise IntegrityError(
                f"{path}: n_calibration: expected {held_out.shape}, the shape of "
                f"{manifest.detector} in calibration.safetensors, got {manifest.n_calibration}"
            )
        return cls(manifest, arrays)


def _check_total(manifest: Manifest, path: Path, own_bytes: int) -> None:
    """Check the total size of the files against the network, before any file is read."""
    total = sum(file.bytes for file in manifest.files.values())
    if total <= MOST_TOTAL:
        return
    most, card = MOST_TOTAL + own_bytes, manifest.backbone
    if card is not None and card.architecture != OWN_MODULE:
        # Imported here: torch takes seconds.
        from belong.prediction.network_outline import bytes_of

        try:
            weights = bytes_of(card.architecture)
        except (RuntimeError, ValueError) as error:
            raise IntegrityError(f"{path}: backbone.architecture: {error}") from None
        most += weights
        largest = max(file.bytes for file in manifest.files.values())
        if largest < weights:
            raise IntegrityError(f"{path}: expected a file of at least {weights} bytes, the "
                                 f"weights of {card.architecture}, got {largest}")  # fmt: skip
    if total > most:
        raise IntegrityError(f"{path}: expected files of at most {most} bytes for this network, "
                             f"got {total}")  # fmt: skip


def _checked(path: Path, expected: StoredFile) -> Arrays:
    """Check a file against the manifest, and read its arrays."""
    if not path.is_file():  # reading a pipe may never end
        problem = "is not a file" if path.exists() else "is missing"
        raise IntegrityError(f"{path}: {problem}; {NAME} lists it")
    if (size := path.stat().st_size) != expected.bytes:
        raise IntegrityError(f"{path}: expected {expected.bytes} bytes, got {size}")
    most = MOST_WEIGHTS if path.stem in WEIGHTS else MOST_BYTES
    if size > most:
        raise IntegrityError(f"{path}: expected at most {most} bytes, got {size}")
    content = read_bytes(path, most=most)  # not mapped: another process may truncate the file
    if hashlib.sha256(content).hexdigest() != expected.sha256:
        raise IntegrityError(f"{path}: is altered; its SHA-256 differs from the one in {NAME}")
    try:
        arrays: dict[str, np.ndarray] = load(content)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:REASON]
        raise IntegrityError(f"{path}: cannot be read as safetensors: {reason}") from None
    for name, array in arrays.items():
        # The header of an empty array may have any shape.
        if not array.size or array.ndim > MOST_AXES:
            raise IntegrityError(f"{path}: array {name[:REASON]!r} has shape {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise IntegrityError(f"{path}: array {name[:REASON]!r} has a value that is not finite")
    return arrays
