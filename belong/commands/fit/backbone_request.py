"""Define the user's request for a backbone, without slow imports."""

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from belong.runtime.argument_names import heading, named
from belong.runtime.arguments import as_path
from belong.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BackboneRequest:
    """The user's request for a backbone.

    Attributes:
        backbone: a name, a torch module, or None.
        weights: a file, a name, or None for the published weights.
        from_scratch: whether to train without a backbone.

    Raises:
        InputError: the request contradicts itself, or the weights are neither a name nor a path.
    """

    backbone: "str | nn.Module | None" = None
    weights: str | PathLike[str] | None = None
    from_scratch: bool = False

    def __post_init__(self) -> None:
        if self.weights is not None:
            as_path("weights", self.weights)
        if self.from_scratch and (self.backbone is not None or self.weights is not None):
            other = "backbone" if self.backbone is not None else "weights"
            raise InputError(
                f"{heading('from_scratch')}: not allowed with {named(other)}, which loads weights"
            )
        if self.weights is not None and not isinstance(self.backbone, str | None):
            raise InputError(
                f"{heading('weights')}: not allowed with a torch module, which has its own"
            )
