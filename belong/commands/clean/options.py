"""Define the options of `belong.clean`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Literal, get_args

from belong.commands.fit.backbone_request import BackboneRequest
from belong.runtime.argument_names import heading
from belong.runtime.arguments import (
    check_choice,
    check_flag,
    check_settings,
    check_share,
    check_whole,
    refuse,
)
from belong.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import nn

Tree = Literal["link", "copy"]
FOLDS, MOST_FOLDS = 5, 100
FALSE_ALARMS = 0.3  # measured rates on photos: reports/photos/cleaning.md


@dataclass(frozen=True)
class CleanOptions:
    """The options of `belong.clean`.

    Attributes:
        folds: number of folds, 2 to 100; each is judged by a model fitted to the others.
        false_alarms: maximum average share of false alarms among the images that are quarantined as
            mislabeled or foreign.
        least_side_px: minimum shorter side of an image in pixels; None: a quarter of the median.
        tree: "link" or "copy" builds `OUTPUT/cleaned` from the images to keep; None: no tree.
        with_review: whether the tree includes the images to review.
        backbone: as in `belong.fit`.
        weights: as in `belong.fit`.
        from_scratch: as in `belong.fit`.
        overwrite: whether to replace the results of another run in `output`.
        jobs: decoding processes; None: one per processor.
        settings: dotted keys of params.yaml -> values.

    Raises:
        InputError: a value has the wrong type, or is out of range.
    """

    folds: int = FOLDS
    false_alarms: float = FALSE_ALARMS
    least_side_px: int | None = None
    tree: Tree | None = None
    with_review: bool = False
    backbone: "str | nn.Module | None" = None
    weights: str | PathLike[str] | None = None
    from_scratch: bool = False
    overwrite: bool = False
    jobs: int | None = None
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def request(self) -> BackboneRequest:
        """The requested backbone."""
        return BackboneRequest(self.backbone, self.weights, self.from_scratch)

    def __post_init__(self) -> None:
        check_whole("folds", self.folds)
        if self.folds < 2:
            raise InputError(
                f"{heading('folds')}: expected at least 2, got {self.folds}: each fold is judged "
                "by a model of the others"
            )
        if self.folds > MOST_FOLDS:
            refuse("folds", f"at most {MOST_FOLDS}", self.folds)
        check_share("false_alarms", self.false_alarms)
        for name in ("least_side_px", "jobs"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name))
        if self.tree is not None:
            check_choice("tree", self.tree, get_args(Tree))
        check_flag("with_review", self.with_review)
        check_flag("overwrite", self.overwrite)
        check_flag("from_scratch", self.from_scratch)
        _ = self.request  # it checks itself
        check_settings(self.settings)
        if self.settings:
            # Imported here: pydantic is slow, and the help text of the command needs no settings.
            from belong.commands.fit.settings import check_keys

            check_keys(self.settings)
