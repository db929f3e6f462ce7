"""Files of weights: read without running code, and matched to a network of timm's.

The arrays may have timm's names or others in the same order (torchvision's, those of the Lite
packages), a prefix such as `module.`, half precision, and a classifier, which is left out.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from belong.runtime.errors import InputError
from belong.runtime.fingerprint import sha256

Arrays = dict[str, np.ndarray]

LFS_POINTER = b"version https://git-lfs"
PREFIXES = ("module.", "model.", "backbone.", "_orig_mod.")
WRAPPED_IN = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema")
COUNTER = "num_batches_tracked"  # of a batch normalization: no weight, and missing in some files
HASHED_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|safetensors)$")  # torch.hub's custom


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors, .pth, .pt or .bin file, on the CPU, prefixes removed.

    A name such as `resnet18-f37072fd.pth` states the first digits of the file's SHA-256, to which
    the file is held. Anything but .safetensors is read by torch.load(weights_only=True).

    Raises:
        InputError: no such file, damaged, altered, or not weights alone.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; expected a file of weights or the name of a backbone")
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        raise InputError(f"{path}: is a Git LFS pointer, not the weights; `git lfs pull` gets them")
    stated = HASHED_NAME.search(path.name)
    if stated and not sha256(path).startswith(stated[1]):
        raise InputError(f"{path}: is altered: its SHA-256 does not start with {stated[1]}")
    values = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    return without_prefix(values)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors: {_plainly(error)}") from None


def _torch_file(path: Path) -> dict[str, Tensor]:
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise InputError(
            f"{path}: holds more than tensors, which could run code; save the state_dict alone, "
            f"best as .safetensors"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path}: cannot be read as a file of torch's: {_plainly(error)}"
        ) from None
    for key in WRAPPED_IN:
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
    if not isinstance(values, Mapping) or not all(
        isinstance(name, str) and isinstance(x, Tensor) for name, x in values.items()
    ):
        raise InputError(f"{path}: expected tensors by name, got {type(values).__name__}")
    return dict(values)


def without_prefix(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that all names share, such as `module.` of parallel training."""
    names = dict(values)
    for _ in range(4):
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in names)), None)
        if prefix is None or not names:
            break
        names = {name.removeprefix(prefix): x for name, x in names.items()}
    return names


def adapted(values: Mapping[str, Tensor], trunk: Mapping[str, Tensor]) -> Arrays | str:
    """Return the arrays for a network, by its names; or in words why they do not fit.

    By name where the names are the network's own; else in order, shape by shape: torchvision and
    the Lite packages name the same arrays in the same order otherwise.

    Args:
        values: name -> tensor of a file, with or without a classifier.
        trunk: the state of the network without a classifier.
    """
    expected = {name: x for name, x in trunk.items() if not name.endswith(COUNTER)}
    named = {name: x for name, x in values.items() if not name.endswith(COUNTER)}
    pairs = dict(zip(expected, named, strict=False))  # in order: a classifier comes last
    shared = expected.keys() & named.keys()
    if 2 * len(shared) > len(expected):
        pairs = {name: name for name in expected if name in named}
    for name, x in expected.items():
        if name not in pairs:
            missing = len(expected) - len(pairs)
            return f"{missing} of {len(expected)} arrays are missing, first {name}"
        got = named[pairs[name]]
        if got.shape != x.shape:
            return f"{pairs[name]} is {_size(got)}, expected {_size(x)}"
    counters = {name: x for name, x in trunk.items() if name.endswith(COUNTER)}
    arrays = {name: named[pairs[name]].float().numpy() for name in expected}
    return arrays | {name: np.zeros_like(x.numpy()) for name, x in counters.items()}


def check_finite(arrays: Arrays, where: str) -> Arrays:
    """Return the arrays if every value is finite.

    Raises:
        InputError: names the first array that has others.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"{where}: {name} has values that are not finite")
    return arrays


def _size(x: Tensor) -> str:
    return "x".join(map(str, x.shape)) or "one number"


def _plainly(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
