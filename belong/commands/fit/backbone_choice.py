"""Choose the backbone of a command: the user's, or one that suits the images."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from belong.commands.fit.backbone_request import BackboneRequest
from belong.commands.fit.plan import is_small_and_grey
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.models.backbones.card import DRAWN, OWN_MODULE
from belong.parameters import FROM_SCRATCH, Parameters
from belong.runtime.argument_names import named
from belong.runtime.errors import InputError

if TYPE_CHECKING:
    from belong.models.backbones.backbone import Backbone

FOR_PHOTOS = "efficientnet_lite0"
IMAGENET = "imagenet", "efficientnet_b0"  # an older name, and its meaning
WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")


def choose_backbone(
    request: BackboneRequest,
    images: DataSet | ImageFiles,
    settings: Mapping[str, object],
    values: Parameters,
) -> "Backbone | None":
    """Return the backbone with its weights; None for a network that is trained from scratch.

    Args:
        request: the request of the user.
        images: the images; the default for photos and color images is EfficientNet-Lite0.
        settings: the keys of params.yaml that the user has set.
        values: all parameters.

    Raises:
        InputError: the weights are unavailable, or do not fit the backbone; the processor does not
            support `backbone.dtype`.
    """
    backbone = _choose(request, images, settings, values)
    return None if backbone is None else backbone.in_dtype(values.backbone.dtype)


def _choose(
    request: BackboneRequest,
    images: DataSet | ImageFiles,
    settings: Mapping[str, object],
    values: Parameters,
) -> "Backbone | None":
    name, weights = _requested(request, settings, values)
    is_drawn = request.from_scratch or settings.get("backbone.weights") == DRAWN
    if name in FROM_SCRATCH or (is_drawn and name is None):
        return None
    if request.backbone is None and weights is None and name is None and is_small_and_grey(images):
        return None
    # Imported here: torch and timm take seconds, and a wrong folder is reported first.
    from belong.models.backbones.catalog import backbone_named, backbone_of_file, own_backbone

    if request.backbone is not None and not isinstance(request.backbone, str):
        return own_backbone(request.backbone)
    if is_drawn and name is not None:
        return backbone_named(name, DRAWN)
    if weights is not None and name is None:
        return backbone_of_file(weights)
    if weights is not None and name is not None:
        return backbone_named(name, str(weights))
    try:
        return backbone_named(name or FOR_PHOTOS)
    except InputError as error:
        if name is not None:
            raise
        raise InputError(
            f"{error}; or train without pretrained weights, {named('from_scratch', value=True)}"
        ) from None


def _requested(
    request: BackboneRequest, settings: Mapping[str, object], values: Parameters
) -> tuple[str | None, Path | None]:
    """Return the requested name of the network and file of its weights, or None."""
    network = settings.get("network")
    name = request.backbone if isinstance(request.backbone, str) else None
    name = str(network) if name is None and network is not None else name
    weights = request.weights
    if weights is None and "backbone.weights" in settings:
        weights = values.backbone.weights
    if weights is None or weights in ("pretrained", DRAWN):
        return name, None
    if str(weights) == IMAGENET[0]:
        return name or IMAGENET[1], None
    path = Path(weights)
    if name or path.is_file() or path.suffix in WEIGHT_FILES or "/" in str(weights):
        return name, path.resolve()
    return str(weights), None


def backbone_settings(
    backbone: "Backbone | None", settings: Mapping[str, object]
) -> dict[str, object]:
    """Return the keys of params.yaml that describe the backbone; `settings` has priority."""
    if backbone is None:
        return {"backbone.weights": "none", "backbone.frozen": False}
    card = backbone.card
    named = OWN_MODULE if card.architecture == OWN_MODULE else card.name
    frozen = settings.get("backbone.frozen", not card.is_drawn)
    return {"network": named, "backbone.weights": card.weights, "backbone.frozen": frozen}
