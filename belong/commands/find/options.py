"""Define the options of `belong.find`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING

from belong.commands.fit.backbone_request import BackboneRequest
from belong.runtime.arguments import check_flag, check_settings, check_whole

if TYPE_CHECKING:
    from torch import nn

TOP = 20  # images per method, as in the paper's figure


@dataclass(frozen=True)
class FindOptions:
    """The options of `belong.find`.

    Attributes:
        top: images per method in the gallery.
        backbone: as in `belong.fit`.
        weights: as in `belong.fit`.
        from_scratch: as in `belong.fit`.
        overwrite: whether to replace the results of another run.
        follow_links: whether to follow links that point outside the folder.
        jobs: number of decoding processes and of threads; all processors if None.
        settings: other keys of params.yaml, dotted.

    Raises:
        InputError: a value has the wrong type or is out of range.
    """

    top: int = TOP
    backbone: "str | nn.Module | None" = None
    weights: str | PathLike[str] | None = None
    from_scratch: bool = False
    overwrite: bool = False
    follow_links: bool = False
    jobs: int | None = None
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def request(self) -> BackboneRequest:
        """The choice of the backbone."""
        return BackboneRequest(self.backbone, self.weights, self.from_scratch)

    def __post_init__(self) -> None:
        check_whole("top", self.top)
        if self.jobs is not None:
            check_whole("jobs", self.jobs)
        check_flag("overwrite", self.overwrite)
        check_flag("follow_links", self.follow_links)
        check_flag("from_scratch", self.from_scratch)
        _ = self.request  # it checks itself
        check_settings(self.settings)
        if self.settings:
            # Imported here: pydantic is slow, and the help text of the command needs no settings.
            from belong.commands.fit.settings import check_keys

            check_keys(self.settings)
