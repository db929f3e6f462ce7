"""Stop before any work if params.yaml holds a mistake, or what no run can do.

Reads   params.yaml   all of it: a misspelt key belongs to no stage, so no other would see it
Writes  valid         the word "valid": the same bytes for all valid parameters, so that what
                      comes after is run again only for the parameters it reads itself
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from belong.data import idx
from belong.parameters import Parameters
from belong.runtime.errors import InputError
from belong.runtime.storage import save_text
from stages.runner import run


@dataclass(frozen=True)
class Limits:
    """What a network makes and takes.

    Attributes:
        features: d.
        least_px: the least side of its images.
        fixed_px: the side of its images, where it takes no other; else None.
    """

    features: int
    least_px: int
    fixed_px: int | None = None


# The networks themselves come with torch, which takes seconds: one that is not in this list is
# built to learn its features. A test holds the numbers to the networks.
FROM_SCRATCH = {"lenet": Limits(84, 12), "small_cnn": Limits(84, 32)}


def main(params: Path, valid: Path) -> None:
    """Check every key, its type and its range; then what they ask for together."""
    values = Parameters.load(params)
    if problems := list(impossible(values)):
        raise InputError("\n".join(f"{params}: {problem}" for problem in problems))
    save_text(valid, "valid\n")


def impossible(values: Parameters) -> Iterator[str]:
    """Yield in a line each what this machine, the network or the images cannot do."""
    if values.device == "cuda":
        from belong.models import device  # not at the top: torch takes seconds

        try:
            device.choose(values.device)
        except InputError as error:
            yield str(error)
    if values.bundle.detector == "mlp_head" and values.anomaly.classes == "none":
        yield "bundle.detector: mlp_head learns from anomalies, but anomaly.classes is none"
    if limits := _limits(values):
        yield from _beyond(limits, values)


def _beyond(limits: Limits, values: Parameters) -> Iterator[str]:
    principal, d = values.detectors.vim.principal, limits.features
    if principal >= d:
        yield (
            f"detectors.vim.principal: got {principal}, expected less than {d}, the features of "
            f"network {values.network}"
        )
    shown, sides = _images(Path(values.normal.path), values.images.side_px)
    if limits.fixed_px and sides - {limits.fixed_px}:
        yield f"{shown}, but network {values.network} requires {limits.fixed_px} px"
    elif sides and min(sides) < limits.least_px:
        yield f"{shown}, but network {values.network} requires at least {limits.least_px} px"


def _limits(values: Parameters) -> Limits | None:
    if not values.has_backbone:
        return FROM_SCRATCH.get(values.network) or _built(values.network)
    from belong.models.backbones.backbone import LEAST_SIDE_PX  # not at the top: see above
    from belong.models.backbones.catalog import card_of

    card = card_of(values.network, values.backbone.weights)
    return Limits(
        features=values.train.embedding if values.is_frozen else card.sizes[-1],
        least_px=LEAST_SIDE_PX,
        fixed_px=card.side_px if card.has_fixed_side else None,
    )


def _built(name: str) -> Limits:
    """Return the limits of a network from scratch; the stage train refuses images too small."""
    import torch  # not at the top: see above

    from belong.models.registry import FROM_SCRATCH as KINDS

    network = KINDS[name].for_images(torch.zeros(1, 3, 224, 224, dtype=torch.uint8), classes=2)
    return Limits(network.classifier.in_features, least_px=1)


def _images(folder: Path, side_px: int) -> tuple[str, set[int]]:
    """Return words for the size of the normal images, and their sides; none before they are there.

    IDX images keep their size, others are brought to `side_px`.
    """
    if not idx.is_idx_folder(folder):
        return f"images.side_px: got {side_px}", {side_px} if folder.is_dir() else set()
    for file in folder.glob(f"{idx.STEMS['test']}-{idx.KINDS[0]}*"):
        _, height, width = idx.read_idx(file, axes=3).shape
        return f"{folder}: images of {height}x{width} px", {height, width}
    return "", set()


if __name__ == "__main__":
    run(main)
