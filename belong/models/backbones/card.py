"""Describe a backbone: architecture, preprocessing, and source of the weights."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from belong.runtime.storage import load_about

DRAWN = "none"  # the weights of an untrained backbone
OWN_MODULE = "module"  # the architecture of the user's torch module
# Parts of names of licenses that forbid commercial use; the last is Apple's for research models.
RESEARCH_ONLY = ("-nc", "non-commercial", "noncommercial", "apple-amlr")

Positive = Annotated[int, Field(ge=1)]
Channels = tuple[float, float, float]


class BackboneCard(BaseModel):
    """The description of a backbone, in the pipeline, the model and the model card.

    Attributes:
        name: name in `--backbone`, such as "efficientnet_lite0".
        architecture: timm's name of the network; "module" for the user's module.
        mean, std: of each channel; pixels in 0..1 are standardized to (pixel - mean) / std.
        side_px: side of the square images for which the weights were trained.
        has_fixed_side: whether the network supports images of this side only.
        sizes: lengths of the vectors of the early, the middle and the last stage.
        weights: source of the weights, in words; "none" for random weights.
        license: license of the weights, as stated by the source; "" if not stated.
        dtype: type in which a frozen backbone computes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str
    architecture: str
    mean: Channels
    std: Channels
    side_px: Positive
    has_fixed_side: bool
    sizes: tuple[Positive, Positive, Positive]
    weights: str
    license: str
    dtype: Literal["float32", "bfloat16"] = "float32"

    @property
    def is_drawn(self) -> bool:
        """Whether the weights are random."""
        return self.weights == DRAWN

    @property
    def forbids_commercial_use(self) -> bool:
        """Whether the license is known to forbid commercial use."""
        words = self.license.lower().replace("_", "-")
        return any(sign in words for sign in RESEARCH_ONLY)


def card_in(path: Path) -> BackboneCard | None:
    """Return the card in an output file of the stage `backbone`; None without a backbone."""
    card = load_about(path, "card")["card"]
    return None if card is None else BackboneCard.model_validate_json(json.dumps(card))
