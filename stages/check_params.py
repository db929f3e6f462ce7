"""Stop before any work if params.yaml has errors or asks for the impossible.

Reads   params.yaml   all keys: no other stage would notice a misspelt key
Writes  valid         the word "valid": the same bytes for all valid parameters, so that a later
                      stage is rerun only for the parameters that it reads itself
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from belong.data import idx
from belong.models.network_choice import has_backbone, is_frozen
from belong.parameters import Parameters
from belong.runtime.errors import InputError
from belong.runtime.storage import save_text
from stages.runner import run


@dataclass(frozen=True)
class Limits:
    """Limits of a network.

    Attributes:
        features: d, the number of features.
        least_px: minimum side of the images.
        fixed_px: the only possible side of the images, or None.
    """

    features: int
    least_px: int
    fixed_px: int | None = None


# Importing the networks imports torch, which takes seconds. A network that is not listed here is
# built to read its limits. A test compares this list with the networks.
FROM_SCRATCH = {"lenet": Limits(84, 12), "small_cnn": Limits(84, 32)}


def main(params: Path, valid: Path) -> None:
    """Check the type and range of every key, then the keys together."""
    values = Parameters.load(params)
    if problems := list(impossible(values)):
        raise InputError("\n".join(f"{params}: {problem}" for problem in problems))
    save_text(valid, "valid\n")


def impossible(values: Parameters) -> Iterator[str]:
    """Yield a line for each request that the machine, the network or the images cannot meet."""
    if values.device == "cuda":
        from belong.models import device  # imported here: torch takes seconds

        try:
            device.choose(values.device)
        except InputError as error:
            yield str(error)
    if values.bundle.detector == "mlp_head" and values.anomaly.classes == "none":
        yield "bundle.detector: mlp_head needs training anomalies, but anomaly.classes is none"
    yield from _unknown_names(values)
    if limits := _limits(values):
        yield from _beyond(limits, values)


def _beyond(limits: Limits, values: Parameters) -> Iterator[str]:
    principal, d = values.detectors.vim.principal, limits.features
    if principal >= d:
        yield (
            f"detectors.vim.principal: expected less than {d}, the features of network "
            f"{values.network}, got {principal}"
        )
    where, size, sides = _images(Path(values.normal.path), values.images.side_px)
    network = f"network {values.network}"
    if limits.fixed_px and sides - {limits.fixed_px}:
        yield f"{where}: expected {limits.fixed_px}, the side of {network}, got {size}"
    elif sides and min(sides) < limits.least_px:
        yield (
            f"{where}: expected at least {limits.least_px}, the minimum of {network}, got {size}"
        )


def _unknown_names(values: Parameters) -> Iterator[str]:
    members, detector = values.combined.members, values.bundle.detector
    if members != "auto" or detector != "combined":
        from belong.detectors.registry import unknown_names  # imported here: see above

        yield from unknown_names(members, detector)


def _limits(values: Parameters) -> Limits | None:
    if not has_backbone(values.network):
        return FROM_SCRATCH.get(values.network) or _built(values.network)
    from belong.models.backbones.backbone import LEAST_SIDE_PX  # imported here: see above
    from belong.models.backbones.catalog import card_of

    card = card_of(values.network, values.backbone.weights)
    return Limits(
        features=values.train.embedding
        if is_frozen(values.network, values.backbone)
        else card.sizes[-1],
        least_px=LEAST_SIDE_PX,
        fixed_px=card.side_px if card.has_fixed_side else None,
    )


def _built(name: str) -> Limits:
    """Return the limits of an unlisted network; the stage train checks the minimum side."""
    import torch  # imported here: see above

    from belong.models.registry import FROM_SCRATCH as KINDS

    network = KINDS[name].for_images(torch.zeros(1, 3, 224, 224, dtype=torch.uint8), classes=2)
    return Limits(network.classifier.in_features, least_px=1)


def _images(folder: Path, side_px: int) -> tuple[str, str, set[int]]:
    """Return what sets the size of the normal images, the size, and the sides in pixels.

    IDX images keep their size; image files are resized to `side_px`. The set is empty if the images
    do not exist yet.
    """
    if not idx.is_idx_folder(folder):
        return "images.side_px", str(side_px), {side_px} if folder.is_dir() else set()
    for file in folder.glob(f"{idx.STEMS['test']}-{idx.KINDS[0]}*"):
        _, height, width = idx.read_idx(file, axes=3).shape
        return f"{folder}: image side in px", f"{height}x{width}", {height, width}
    return "", "", set()


if __name__ == "__main__":
    run(main)
