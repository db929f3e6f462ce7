"""Parameters of the stages that build a network: which one, and where it starts from."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from belong.runtime.typed_yaml import Section


class EfficientNetSection(Section):
    """How EfficientNet-B0 starts, and whether all of it is trained."""

    weights: Annotated[str, Field(min_length=1)]
    frozen: bool

    @model_validator(mode="after")
    def _frozen_weights_are_given(self) -> Self:
        if self.frozen and self.weights == "none":
            raise ValueError("weights where the backbone is frozen: imagenet or a file")
        return self


class Params(Section):
    """Which network is trained."""

    network: Literal["lenet", "efficientnet_b0"]
    efficientnet: EfficientNetSection

    @property
    def has_backbone(self) -> bool:
        """Whether the network has a backbone that may start from learned weights."""
        return self.network == "efficientnet_b0"

    @property
    def is_frozen(self) -> bool:
        """Whether only what is above the backbone is trained."""
        return self.has_backbone and self.efficientnet.frozen
