"""A trained model as one folder: `manifest.json`, and arrays as safetensors; nothing is pickled.

network       the classifier; of a frozen backbone, what was trained above it
backbone      the frozen backbone, if there is one
autoencoder   if a detector wants it
detectors     `DETECTOR/ARRAY` of the detectors that are asked
calibration   `DETECTOR` (n,) of the detector in force: what p-values are taken from;
              `member/DETECTOR` (n,) what the surprises of `combined` are fitted to
training      some of the training images: `features` (m, d) float32, `labels` (m,) int64, and
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
MOST_WEIGHTS, MOST_BYTES = 2**32, 3 * 2**27  # of a file: a stranger's may be a hole of any size
MOST_TOTAL = 7 * 2**26  # of all files, beside what the weights of a named network take
MOST_AXES = 8
REASON = 200  # characters
# What types and shapes that NumPy does not know make safetensors raise.
UNREADABLE = (ArithmeticError, LookupError, OSError, SafetensorError, TypeError, ValueError)


@dataclass(frozen=True)
class Bundle:
    """A model, complete.

    Attributes:
        manifest: what it says of itself.
        arrays: file, one of FILES, -> its arrays; a file without any is not there.
    """

    manifest: Manifest
    arrays: Mapping[str, Arrays]

    def of_detector(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays that a detector is loaded from."""
        start = f"{name}/"
        own = self.arrays.get("detectors", {}).items()
        return {key.removeprefix(start): array for key, array in own if key.startswith(start)}

    def save(self, folder: Path) -> Self:
        """Write the folder, whole or not at all, in the place of what is there.

        Returns:
            The same model with the manifest that was written: it names the files.
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
        """Read a folder that `save` wrote; what lies beside its files is left alone.

        Args:
            folder: the model.
            own_bytes: of the weights of a person's own module, if it was fitted on one.

        Raises:
            InputError: no such folder, or no manifest in it.
            IntegrityError: another format, or a file that is missing, cut off or altered.
        """
        folder = as_path("folder", folder)
        if not folder.is_dir():
            raise InputError(f"{folder}: {'is a file' if folder.exists() else 'no such folder'}; "
                             f"expected the folder of a model")  # fmt: skip
        path = folder / NAME
        if not path.is_file():
            raise InputError(f"{folder}: has no {NAME}; expected the folder of a model")
        manifest = Manifest.read(path)
        named = {Path(name).stem for name in manifest.files}
        if not set(NEEDED) <= named <= set(FILES):
            raise IntegrityError(
                f"{path}: names the files {', '.join(sorted(named))}; "
                f"expected {', '.join(NEEDED)}, and no others but {', '.join(OPTIONAL)}"
            )
        _check_total(manifest, path, own_bytes)
        files = manifest.files.items()
        arrays = {Path(name).stem: _checked(folder / name, it) for name, it in files}
        held_out = arrays["calibration"].get(manifest.detector)
        if held_out is not None and held_out.shape != (manifest.n_calibration,):
            raise IntegrityError(
                f"{path}: n_calibration: is {manifest.n_calibration}, and the array "
                f"{manifest.detector} of calibration.safetensors has shape {held_out.shape}"
            )
        return cls(manifest, arrays)


def _check_total(manifest: Manifest, path: Path, own_bytes: int) -> None:
    """Refuse more, or fewer weights, than a model of its network has, before any of it is read."""
    total = sum(file.bytes for file in manifest.files.values())
    if total <= MOST_TOTAL:
        return
    most, card = MOST_TOTAL + own_bytes, manifest.backbone
    if card is not None and card.architecture != OWN_MODULE:
        from belong.prediction.network_outline import (
            bytes_of,
        )  # not at the top: torch takes seconds

        try:
            weights = bytes_of(card.architecture)
        except (RuntimeError, ValueError) as error:
            raise IntegrityError(f"{path}: backbone.architecture: {error}") from None
        most += weights
        largest = max(file.bytes for file in manifest.files.values())
        if largest < weights:
            raise IntegrityError(f"{path}: names no file with the {weights} bytes of the weights "
                                 f"of {card.architecture}")  # fmt: skip
    if total > most:
        raise IntegrityError(f"{path}: names files of {total} bytes; a model of this network has "
                             f"{most} at most")  # fmt: skip


def _checked(path: Path, wanted: StoredFile) -> Arrays:
    """Read the arrays of a file, once it is known to be the one that was saved."""
    if not path.is_file():  # a pipe would keep us waiting
        what = "is no file" if path.exists() else "is missing"
        raise IntegrityError(f"{path}: {what}; {NAME} names it")
    if (size := path.stat().st_size) != wanted.bytes:
        raise IntegrityError(f"{path}: expected {wanted.bytes} bytes, got {size}")
    most = MOST_WEIGHTS if path.stem in WEIGHTS else MOST_BYTES
    if size > most:
        raise IntegrityError(f"{path}: has {size} bytes; no model of ours has above {most} there")
    content = read_bytes(path, most=most)  # not mapped: a file may be cut short meanwhile
    if hashlib.sha256(content).hexdigest() != wanted.sha256:
        raise IntegrityError(f"{path}: is altered; its SHA-256 is not the one in {NAME}")
    try:
        arrays: dict[str, np.ndarray] = load(content)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())[:REASON]
        raise IntegrityError(f"{path}: cannot be read as safetensors: {reason}") from None
    for name, array in arrays.items():
        # An array without values may claim any size; what is not finite is nobody's measurement.
        if not array.size or array.ndim > MOST_AXES:
            raise IntegrityError(f"{path}: array {name[:REASON]!r} has shape {array.shape}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise IntegrityError(f"{path}: array {name[:REASON]!r} has a value that is not finite")
    return arrays
