"""What `belong clean` may be told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Literal, get_args

from belong.commands.fit.backbone_request import BackboneRequest
from belong.runtime.arguments import (
    check_choice,
    check_flag,
    check_settings,
    check_share,
    check_whole,
)
from belong.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import nn

Tree = Literal["link", "copy"]
FOLDS, MOST_FOLDS = 5, 100  # each is judged by what is fitted to the other four fifths
FALSE_ALARMS = 0.3  # what it comes to on photos: reports/photos/cleaning.md


@dataclass(frozen=True)
class CleanOptions:
    """The options of `belong.clean`.

    Attributes:
        folds: parts of the images, at least 2; each is judged by what is fitted to the others.
        false_alarms: share of right images, at most and on average, among those that are put aside
            as mislabeled or foreign.
        least_side_px: images with a smaller side are tiny; None: a quarter of the median.
        tree: "link" or "copy" builds `out/cleaned` of the images that are kept.
        with_review: whether images that somebody should look at are in it too.
        backbone, weights, from_scratch: as of `belong.fit`.
        overwrite: whether the results of another run in `out` may be replaced.
        jobs: threads that look at the files; all processors if None.
        settings: other keys of params.yaml, dotted.

    Raises:
        InputError: a value is of another type, or out of its range.
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
        """What is asked for of the backbone."""
        return BackboneRequest(self.backbone, self.weights, self.from_scratch)

    def __post_init__(self) -> None:
        check_whole("folds", self.folds)
        if self.folds < 2:
            raise InputError(
                f"--folds {self.folds}: expected at least 2: each fold scores the images "
                "that the others trained on"
            )
        check_share("false_alarms", self.false_alarms)
        for name in ("least_side_px", "jobs"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name))
        if self.tree is not None:
            check_choice("tree", self.tree, get_args(Tree))
        check_flag("with_review", self.with_review)
        check_flag("overwrite", self.overwrite)
        check_settings(self.settings)
