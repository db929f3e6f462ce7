"""Describe a backbone: architecture, preprocessing, and source of the weights."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from belong.runtime.storage import load_about

DRAWN = "none"  # the weights of a backbone that nothing has trained yet
OWN_MODULE = "module"  # the architecture of a backbone that is a person's own torch module
# In the names of licenses that forbid commercial use; the last one is Apple's of research models.
RESEARCH_ONLY = ("-nc", "non-commercial", "noncommercial", "apple-amlr")

Positive = Annotated[int, Field(ge=1)]
Channels = tuple[float, float, float]


class BackboneCard(BaseModel):
    """The facts that travel with a backbone: into the pipeline, the model and the model card.

    Attributes:
        name: the name to ask for it by, such as "efficientnet_lite0".
        architecture: timm's name of the network; "module" for a person's own.
        mean, std: of each channel; pixels in 0..1 are brought to (pixel - mean) / std.
        side_px: of the square images that the weights were trained on.
        has_fixed_side: whether the network takes images of this side only.
        sizes: the lengths of the vectors of the early, the middle and the last stage.
        weights: where they come from, in words; "none" if they are drawn at random.
        license: of the weights, as their source states it; "" where it states none.
        dtype: that a frozen backbone computes in.
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
        """Whether nothing has trained its weights yet."""
        return self.weights == DRAWN

    @property
    def forbids_commercial_use(self) -> bool:
        """Whether the license is one of the usual ones that forbid commercial use."""
        words = self.license.lower().replace("_", "-")
        return any(sign in words for sign in RESEARCH_ONLY)


def card_in(path: Path) -> BackboneCard | None:
    """Return the card in the header of a file that the stage `backbone` wrote, if there is one."""
    card = load_about(path, "card")["card"]
    return None if card is None else BackboneCard.model_validate_json(json.dumps(card))
