"""What a person asks for of a backbone; it imports nothing that would slow `belong --help`."""

from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING

from belong.runtime.arguments import as_path
from belong.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class BackboneRequest:
    """What a person has asked for.

    Attributes:
        backbone: a name, a torch module of one's own, or None.
        weights: a file, a name, or None: those that the backbone's maker published.
        from_scratch: whether to go on without any.

    Raises:
        InputError: it contradicts itself, or the weights are neither a name nor a path.
    """

    backbone: "str | nn.Module | None" = None
    weights: str | PathLike[str] | None = None
    from_scratch: bool = False

    def __post_init__(self) -> None:
        if self.weights is not None:
            as_path("weights", self.weights)
        if self.from_scratch and (self.backbone is not None or self.weights is not None):
            named = "--backbone" if self.backbone is not None else "--weights"
            raise InputError(f"--from-scratch: expected no {named}, which gives learned weights")
        if self.weights is not None and not isinstance(self.backbone, str | None):
            raise InputError("weights: expected none beside a module, which has its own")
