"""Read files of weights without running code, and match them to a network of timm.

The arrays may have the names of timm, of torchvision, or others in the same order (as in the Lite
packages). They may have a prefix such as `module.`, half precision, and a classifier, which is
ignored.
"""

import re
import struct
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from belong.runtime.errors import InputError
from belong.runtime.fingerprint import sha256

Arrays = dict[str, np.ndarray]

LFS_POINTER = b"version https://git-lfs"
PREFIXES = ("module.", "model.", "backbone.", "_orig_mod.")
WRAPPED_IN = ("state_dict", "model", "model_state_dict", "state_dict_ema", "model_ema")
COUNTER = "num_batches_tracked"  # an array of a batch normalization that some files lack
TORCH_STARTS = (b"PK\3\4", b"\x80")  # first bytes of a zip archive and of a pickle
CLASSIFIER = re.compile(r"(^|\.)_?(classifier|fc|head\w*|last_linear)\.")
MOST_OTHERS = 2  # maximum number of arrays that the network lacks: a classifier of another name
# A file name with a hash, as in torch.hub; a date is no hash.
HASHED_NAME = re.compile(
    r"-(?!(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\.)([0-9a-f]{8,64})\.(?:pth|pt|safetensors)$"
)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a .safetensors, .pth, .pt or .bin file, on the CPU, without prefixes.

    A name such as `resnet18-f37072fd.pth` has the first digits of the file's SHA-256, which are
    checked. All types except .safetensors are read by torch.load(weights_only=True).

    Raises:
        InputError: the file is missing, damaged or altered, or has other objects than weights.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise InputError(f"{path}: {what}; expected a file of weights, or the name of a backbone")
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
    if start == LFS_POINTER:
        raise InputError(f"{path}: expected weights, got a Git LFS pointer; run `git lfs pull`")
    stated = HASHED_NAME.search(path.name)
    if stated and not sha256(path).startswith(stated[1]):
        raise InputError(f"{path}: is altered: its SHA-256 does not start with {stated[1]}")
    values = _safetensors(path) if path.suffix == ".safetensors" else _torch_file(path)
    return without_prefix(values)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())  # not mapped, as another process may truncate the file
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors: {_plainly(error)}") from None


# Errors of torch.load for a truncated or altered file.
DAMAGED = (RuntimeError, EOFError, ValueError, struct.error)


def _torch_file(path: Path) -> dict[str, Tensor]:
    with path.open("rb") as file:
        if not file.read(4).startswith(TORCH_STARTS):
            raise InputError(
                f"{path}: cannot be read as a file of torch: neither a zip archive nor a pickle"
            )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError:
        raise InputError(
            f"{path}: expected only tensors, as other objects could run code; save the state_dict, "
            f"best as .safetensors"
        ) from None
    except (*DAMAGED, AttributeError, LookupError, OSError) as error:
        raise InputError(f"{path}: cannot be read as a file of torch: {_plainly(error)}") from None
    while isinstance(values, Mapping) and (inner := _wrapped(values)) is not None:
        values = inner
    if not isinstance(values, Mapping) or not all(
        isinstance(name, str) and isinstance(x, Tensor) for name, x in values.items()
    ):
        raise InputError(f"{path}: expected tensors by name, got {type(values).__name__}")
    return dict(values)


def _wrapped(values: Mapping[str, object]) -> Mapping[str, object] | None:
    inner = (values.get(key) for key in WRAPPED_IN)
    return next((one for one in inner if isinstance(one, Mapping)), None)


def without_prefix(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Remove the prefixes that all names share, such as `module.` of parallel training."""
    names = dict(values)
    for _ in range(4):
        prefix = next((p for p in PREFIXES if all(name.startswith(p) for name in names)), None)
        if prefix is None or not names:
            break
        names = {name.removeprefix(prefix): x for name, x in names.items()}
    return names


def adapted(
    values: Mapping[str, Tensor], trunk: Mapping[str, Tensor], names: Sequence[str] = ()
) -> Arrays | str:
    """Return the arrays under the names of a network; or the reason why they do not fit.

    The arguments are those of `paired`.
    """
    pairs = paired(values, trunk, names)
    if isinstance(pairs, str):
        return pairs
    arrays = {name: values[pairs[name]].detach().float().numpy() for name in pairs}
    counters = {name: x for name, x in trunk.items() if name.endswith(COUNTER)}
    return arrays | {name: np.zeros(x.shape, np.int64) for name, x in counters.items()}


def paired(
    values: Mapping[str, Tensor], trunk: Mapping[str, Tensor], names: Sequence[str] = ()
) -> dict[str, str] | str:
    """Return the name in the file of each array of a network; or the reason why they do not fit.

    Arrays are matched by name if most names are those of the network or in `names`, otherwise by
    their order. Counters of batch normalizations are ignored.

    Args:
        values: name -> tensor of a file, with or without a classifier.
        trunk: the state of the network without a classifier.
        names: names of the same arrays in another library, in the order of the network, as
            .safetensors files do not keep the order.
    """
    expected = {name: x for name, x in trunk.items() if not name.endswith(COUNTER)}
    tensors = {name: x for name, x in values.items() if not name.endswith(COUNTER)}
    known = [name for name in names if not name.endswith(COUNTER)]
    schemes = dict(zip(expected, expected, strict=True)), dict(zip(expected, known, strict=False))
    in_order = dict(zip(expected, tensors, strict=False))  # a classifier is last, and ignored
    pairs = next((one for one in schemes if _mostly(one, tensors)), in_order)
    missing = [name for name in expected if pairs.get(name) not in tensors]
    if missing:
        first = pairs.get(missing[0], missing[0])
        return f"{len(missing)} of {len(expected)} arrays are missing, first {first}"
    for name, x in expected.items():
        other = pairs[name]
        if tensors[other].shape != x.shape:
            return f"{other} is {_size(tensors[other])}, expected {_size(x)}"
        if _leaf(other) != _leaf(name):
            return f"{other} stands where {name} is expected"
        if not tensors[other].is_floating_point():
            return f"{other} is {tensors[other].dtype}, expected a floating-point type"
    others = [x for x in tensors.keys() - set(pairs.values()) if not CLASSIFIER.search(x)]
    if len(others) > MOST_OTHERS:
        return f"{len(others)} arrays too many, such as {min(others)}"
    return pairs


def _mostly(pairs: Mapping[str, str], tensors: Mapping[str, Tensor]) -> bool:
    return 2 * sum(name in tensors for name in pairs.values()) > len(pairs)


def _leaf(name: str) -> str:
    """Return "weight" for "blocks.0.conv.weight"; these names are the same in all libraries."""
    return name.rpartition(".")[2]


def check_finite(arrays: Arrays, where: str) -> Arrays:
    """Return the arrays if every value is finite.

    Raises:
        InputError: a value is not finite; the message names the first such array.
    """
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise InputError(f"{where}: {name} has values that are not finite")
    return arrays


def _size(x: Tensor) -> str:
    return "x".join(map(str, x.shape)) or "one number"


def _plainly(error: Exception) -> str:
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
