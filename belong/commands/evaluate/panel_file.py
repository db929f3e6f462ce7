"""Read and write the folder of a saved panel, which another person may have made.

manifest.json states the detectors and the widths of the layers. The shapes of all arrays are
checked against them before an array is read, so that a panel takes no more memory than its file,
and its scores take no more time than those of a fitted panel of this size. A trial then shows that
each detector works.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from belong.commands.evaluate.array_file import ArrayFile, open_safetensors
from belong.commands.evaluate.inputs import UNREADABLE, reason
from belong.detectors.base import check_axes
from belong.detectors.panel import (
    HEAD,
    LAYERS,
    PANEL,
    Fitted,
    LastLayer,
    Method,
    views_of,
)
from belong.prediction.manifest import MOST_SIZE, IntegrityError
from belong.runtime.errors import InputError, MissingFileError
from belong.runtime.exit_codes import no_memory_left
from belong.runtime.storage import read_bytes, save_arrays, save_json, whole_folder
from belong.runtime.text import FORMULA, printable

MANIFEST, ARRAYS = "manifest.json", "panel.safetensors"
FORMAT: Literal[1] = 1
OF_HEAD = "head"  # the arrays of the last layer are named like those of a detector of this name
MOST_MANIFEST, MOST_BYTES = 2**24, 2**32
MOST_DETECTORS, MOST_NOTES, MOST_NAME, MOST_TEXT = 256, 100, 100, 1000
MOST_WIDTH = 2**18
MOST_MATRICES = 2**18  # of all detectors, which multiply them one by one
TYPES = (torch.float32, torch.float64)
SCALAR_TYPES = (*TYPES, torch.int64)
# Standard deviations of the rows of the trial: those of the training rows are unknown.
TRIED = (1e-30, 1e-20, 1e-10, 0.1, 1.0, 10.0, 1e10, 1e15)
# Errors of torch and NumPy for values that no fit gives.
UNFIT = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip

Name = Annotated[str, Field(max_length=MOST_NAME)]
Text = Annotated[str, Field(max_length=MOST_TEXT)]
Arrays = Mapping[str, Mapping[str, Any]]


class PanelManifest(BaseModel):
    """The manifest of a saved panel; `detectors` maps names to names in `PANEL`."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[1]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    detectors: Annotated[dict[Name, Name], Field(min_length=1, max_length=MOST_DETECTORS)]
    left_out: Annotated[dict[Name, Text], Field(max_length=MOST_DETECTORS)]
    widths: dict[str, Annotated[int, Field(ge=1, le=MOST_WIDTH)]]
    notes: Annotated[tuple[Text, ...], Field(max_length=MOST_NOTES)]


def save_panel(
    path: Path,
    detectors: Mapping[str, Fitted],
    head: LastLayer | None,
    *,
    left_out: Mapping[str, str],
    widths: Mapping[str, int],
    notes: Iterable[str],
) -> None:
    """Write the folder of a panel.

    Raises:
        InputError: the panel could not be loaded, such as one of 5 GB.
    """
    arrays = {
        f"{name}/{key}": array
        for name, one in detectors.items()
        for key, array in one.detector.arrays().items()
    }
    if head is not None:
        arrays |= {f"{OF_HEAD}/weight": head.weight.numpy(), f"{OF_HEAD}/bias": head.bias.numpy()}
    if (size := sum(array.nbytes for array in arrays.values())) > MOST_BYTES - MOST_MANIFEST:
        raise InputError(
            f"{printable(path)}: expected a panel of at most 4 GiB, got {size / 2**30:.1f}; fit "
            f"fewer detectors, or fewer rows (most_rows)"
        )
    values: dict[str, Any] = {
        "format": FORMAT,
        "detectors": {name: one.method.name for name, one in detectors.items()},
        "left_out": {name: printable(why)[:MOST_TEXT] for name, why in left_out.items()},
        "widths": dict(widths),
        "notes": tuple(printable(note)[:MOST_TEXT] for note in notes),
    }
    problem = _problem(values | {"sha256": "0" * 64})
    if problem is not None:
        raise InputError(f"{printable(path)}: a panel with {problem} cannot be saved")
    with whole_folder(path) as part:
        save_arrays(part / ARRAYS, arrays)
        manifest = PanelManifest(sha256=_digest(part / ARRAYS), **values)
        save_json(part / MANIFEST, manifest.model_dump())


def read_manifest(folder: Path) -> PanelManifest:
    """Read the manifest of a panel.

    Raises:
        InputError: the folder has no manifest, or the file is not the manifest of a panel.
        IntegrityError: a detector is unknown to this version.
    """
    file = folder / MANIFEST
    if not file.is_file():
        raise InputError(f"{printable(folder)}: expected a saved panel, got no {MANIFEST}")
    try:
        manifest = PanelManifest.model_validate_json(read_bytes(file, most=MOST_MANIFEST))
        problem = _problem(manifest.model_dump())
    except ValidationError as error:
        problem = _first(error)
    except OSError as error:
        problem = error.strerror or "it cannot be read"
    if problem is not None:
        raise InputError(f"{printable(file)}: not the manifest of a panel: {problem}")
    for kind in manifest.detectors.values():
        if kind not in PANEL:
            raise IntegrityError(f"{printable(file)}: detector {kind!r} is unknown to this version")
    return manifest


def read_detectors(
    folder: Path, manifest: PanelManifest
) -> tuple[dict[str, Fitted], LastLayer | None]:
    """Read the detectors and the last layer of a panel.

    Raises:
        MissingFileError: the file of the arrays is missing.
        IntegrityError: the file is damaged, or its arrays are not those of the detectors.
    """
    path = folder / ARRAYS
    if not path.is_file():
        raise MissingFileError(path)
    where = printable(path)
    if (size := path.stat().st_size) > MOST_BYTES:
        raise IntegrityError(f"{where}: expected at most {MOST_BYTES} bytes, got {size}")
    try:
        files = open_safetensors(path)
    except UNREADABLE as error:
        raise IntegrityError(f"{where}: cannot be read as .safetensors: {reason(error)}") from None
    try:
        in_file = _of_detectors(files, manifest)
        _check_head(in_file.get(OF_HEAD, {}), manifest.widths)
        known = {*manifest.widths, *({HEAD} if OF_HEAD in in_file else ())}
        for name, kind in manifest.detectors.items():
            method = PANEL[kind]
            needs = {*LAYERS, HEAD}.intersection(method.needs)
            if missing := sorted(needs - known):
                raise ValueError(f"{name} needs {' and '.join(missing)}")
            _check_shapes(name, method, in_file.get(name, {}), manifest.widths)
        matrices = sum(len(array) for array in files.values() if len(array.shape) > 2)
        if matrices > MOST_MATRICES:
            raise ValueError(f"expected at most {MOST_MATRICES} matrices, got {matrices}")
        if _digest(path) != manifest.sha256:
            raise IntegrityError(f"{where}: is altered: its SHA-256 does not match")
        arrays = {
            name: {key: _read(f"{name}/{key}", array) for key, array in of_name.items()}
            for name, of_name in in_file.items()
        }
        of_head = arrays.get(OF_HEAD, {})
        head = LastLayer.checked(of_head.get("weight"), of_head.get("bias"))
        fitted = {}
        for name, kind in manifest.detectors.items():
            detector = _built(name, PANEL[kind], arrays.get(name, {}))
            fitted[name] = Fitted(PANEL[kind], detector, manifest.widths, head)
            _try(name, fitted[name])
    except ValueError as error:
        if isinstance(error, IntegrityError):
            raise
        raise IntegrityError(f"{where}: {reason(error)}") from None
    return fitted, head


def _problem(values: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the values of a manifest, or None."""
    try:
        manifest = PanelManifest(**values)
    except ValidationError as error:
        return _first(error)
    if unknown := sorted(manifest.widths.keys() - set(LAYERS)):
        return f"the width of a layer named {unknown[0][:MOST_NAME]!r}"
    for name in (*manifest.detectors, *manifest.left_out):
        if name == OF_HEAD or name.startswith(FORMULA) or printable(name) != name:
            return f"the name {name!r} of a detector"
    for text in (*manifest.left_out.values(), *manifest.notes):
        if printable(text) != text:
            return f"a text of several lines: {reason(ValueError(repr(text)))}"
    return None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))[:MOST_NAME]
    return reason(ValueError(f"{printable(where)}: {first['msg']}"))


def _of_detectors(
    files: Mapping[str, ArrayFile], manifest: PanelManifest
) -> dict[str, dict[str, ArrayFile]]:
    """Return detector, or "head" -> name -> array of a file."""
    in_file: dict[str, dict[str, ArrayFile]] = {}
    for name, array in files.items():
        detector, _, key = name.rpartition("/")
        if detector not in manifest.detectors and name not in (
            f"{OF_HEAD}/weight",
            f"{OF_HEAD}/bias",
        ):
            raise ValueError(f"array {name!r} belongs to no detector of the panel")
        if array.dtype not in (TYPES if array.shape else SCALAR_TYPES):
            raise ValueError(f"array {name!r} is of type {array.dtype}")
        in_file.setdefault(detector, {})[key] = array
    return in_file


def _check_head(arrays: Mapping[str, ArrayFile], widths: Mapping[str, int]) -> None:
    """Check the shapes of the last layer."""
    d, c = widths.get("features"), widths.get("logits")
    if c is not None and not 2 <= c <= MOST_SIZE:
        raise ValueError(f"expected 2 to {MOST_SIZE} logits, got {c}")
    if not arrays:
        return
    expected = {"weight": (c, d), "bias": (c,)}
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes != expected:
        raise ValueError(f"expected a last layer of shapes {expected}, got {shapes}")


def _check_shapes(
    name: str, method: Method, arrays: Mapping[str, ArrayFile], widths: Mapping[str, int]
) -> None:
    """Check the shapes of a detector's arrays against the widths of the layers."""
    d, h, m = (widths.get(layer, 0) for layer in ("features", "hidden", "maps"))
    sizes = {"d": d, "h": h, "m": m, "b": d + h, "g": d + h + m, "l": sum(map(bool, (d, h, m)))}
    knows_classes = "logits" in method.needs or HEAD in method.needs
    axes_of = dict(
        entry.partition(" ")[::2] for entry in filter(None, method.kind.axes.split(", "))
    )
    if unknown := sorted(arrays.keys() - axes_of.keys()):
        raise ValueError(f"{name}: array {unknown[0]!r} is unknown to {method.name}")
    try:
        check_axes(
            method.kind,
            arrays,
            classes=widths["logits"] if knows_classes else None,
            sizes=sizes,
        )
    except ValueError as error:
        raise ValueError(f"{name}/{error}") from None
    for key, array in arrays.items():
        if 0 in array.shape:
            raise ValueError(f"{name}/{key}: expected at least one value, got {array.shape}")
        if "c" in axes_of[key] and array.shape[axes_of[key].index("c")] > MOST_SIZE:
            raise ValueError(
                f"{name}/{key}: expected at most {MOST_SIZE} classes, got {array.shape}"
            )


def _read(name: str, file: ArrayFile) -> np.ndarray:
    """Read an array, which may have infinite values."""
    array = np.asarray(file[:])
    if np.isnan(array).any():
        raise ValueError(f"array {name!r} has a value that is no number")
    return array


def _built(name: str, method: Method, arrays: Mapping[str, np.ndarray]) -> Any:
    for key, array in arrays.items():
        if key not in method.kind.may_be_infinite and not np.isfinite(array).all():
            raise ValueError(f"array {name}/{key!r} has a value that is not finite")
    try:
        return method.kind.from_arrays(arrays)
    except UNFIT as error:
        raise ValueError(f"{name}: {reason(error)}") from None


def _try(name: str, one: Fitted) -> None:
    """Score rows of noise, and refuse a detector that fails or gives no finite score."""
    rng = np.random.default_rng(0)
    layers = {}
    for layer, width in one.widths.items():
        noise = rng.normal(0, TRIED, (width, len(TRIED))).T.astype(np.float32)
        layers[layer] = torch.from_numpy(np.concatenate((noise, abs(noise))))
    try:
        with torch.no_grad():
            scores = one.detector.score(views_of(layers))
    except UNFIT as error:
        if no_memory_left(error):
            raise
        raise ValueError(f"{name} cannot score: {reason(error)}") from None
    if scores.shape != (2 * len(TRIED),) or not scores.isfinite().any():
        raise ValueError(f"{name} gives no finite score to noise")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
