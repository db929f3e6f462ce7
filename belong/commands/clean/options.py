"""What `belong clean` may be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Tree = Literal["link", "copy"]
FOLDS, MOST_FOLDS = 5, 100  # four fifths of the images train each network
FALSE_ALARMS = 0.05


@dataclass(frozen=True)
class CleanOptions:
    """The options of `belong.clean`.

    Attributes:
        folds: networks that are trained, at least 2; each judges the images it has not seen.
        false_alarms: share of right images, on average, among those put aside as wrong or foreign.
        least_side_px: images with a smaller side are tiny; None: a quarter of the median.
        tree: "link" or "copy" builds `out/cleaned` of the images that are kept.
        with_review: whether images that somebody should look at are in it too.
        weights: "imagenet", or a .safetensors file for EfficientNet-B0; None trains small networks.
        overwrite: whether the results of another run in `out` may be replaced.
        jobs: threads that look at the files; all processors if None.
        settings: other keys of params.yaml, dotted.
    """

    folds: int = FOLDS
    false_alarms: float = FALSE_ALARMS
    least_side_px: int | None = None
    tree: Tree | None = None
    with_review: bool = False
    weights: str | None = None
    overwrite: bool = False
    jobs: int | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
