"""The weights that EfficientNet-B0 starts from: torchvision's, or those in a file."""

from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from torchvision.models import EfficientNet_B0_Weights

from belong.models.efficientnet import Backbone
from belong.runtime.errors import InputError
from belong.runtime.storage import load_arrays

HERE = "efficientnet.weights"
CLASSIFIER = "classifier."  # of the 1000 classes of ImageNet: ours is another

Arrays = dict[str, np.ndarray]


def weights_from(source: str) -> Arrays:
    """Return the weights that a network starts from: "none" (no array), "imagenet" or a file.

    Raises:
        InputError: they cannot be had, or are those of another network.
    """
    if source == "none":
        return {}
    return imagenet() if source == "imagenet" else from_file(Path(source))


def imagenet() -> Arrays:
    """Return torchvision's weights, which it downloads once and checks against their hash.

    They come as a pickle, of which torch is told to read tensors only.

    Raises:
        InputError: they cannot be downloaded, or the file downloaded before is damaged.
    """
    known = EfficientNet_B0_Weights.IMAGENET1K_V1
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(known.url).name
    try:
        state = known.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, EOFError, HTTPException, RuntimeError, UnpicklingError) as error:
        if file.exists():
            raise InputError(
                f"{HERE}: imagenet: {file} is damaged; without it, it is downloaded anew"
            ) from None
        reason = " ".join(str(error).split()).strip("<>")
        raise InputError(
            f"{HERE}: imagenet cannot be had from {known.url}: {reason}; put that file into "
            f"{file.parent} by hand, or name a .safetensors file"
        ) from None
    return checked({name: values.numpy() for name, values in state.items()}, "imagenet")


def from_file(path: Path) -> Arrays:
    """Read the weights in a safetensors file that has torchvision's names.

    Raises:
        InputError: no such file, or the weights in it are those of another network.
    """
    if not path.is_file():
        raise InputError(
            f"{HERE}: {path}: no such file; wanted none, imagenet or a .safetensors file"
        )
    return checked(load_arrays(path), f"{path}")


def checked(arrays: Arrays, where: str) -> Arrays:
    """Return the arrays of the backbone, without the classifier's, if there are all and no others.

    Raises:
        InputError: names the first array that is missing, of another shape, too much or not finite.
    """
    weights = {name: array for name, array in arrays.items() if not name.startswith(CLASSIFIER)}
    shapes = {name: array.shape for name, array in Backbone().arrays().items()}
    start = f"{HERE}: {where}: not the weights of torchvision's EfficientNet-B0: "
    for name, shape in shapes.items():
        if name not in weights:
            missing = len(shapes.keys() - weights.keys())
            raise InputError(f"{start}{missing} of {len(shapes)} arrays are missing, first {name}")
        if weights[name].shape != shape:
            got, wanted = _in_words(weights[name].shape), _in_words(shape)
            raise InputError(f"{start}{name} is {got}, wanted {wanted}")
        if not np.isfinite(weights[name]).all():
            raise InputError(f"{HERE}: {where}: {name} has values that are not finite")
    for name in sorted(weights.keys() - shapes.keys()):
        raise InputError(f"{start}it has an array {name} as well")
    return weights


def _in_words(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"
