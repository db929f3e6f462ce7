"""How images are scored."""

import os
from dataclasses import dataclass, field

from belong.calibration.sample_size import GUARANTEES, Guarantee
from belong.runtime.arguments import check_choice, check_flag, check_share, check_whole
from belong.runtime.errors import InputError


@dataclass(frozen=True)
class ScoringOptions:
    """How a folder of images is scored.

    Attributes:
        jobs: processes that decode, and threads that score on processors, at most.
        batch_size: images that are scored together.
        overwrite: whether the results of another run may be replaced; no other file ever is.
        follow_links: whether what links in the folder name outside of it is read.
        alpha: promised share of false rejects; the model's own if None.
        guarantee: of that share, see `belong.calibration.sample_size`; the model's own if None.
        fdr: instead of both, the share of false ones among the images that are rejected.

    Raises:
        InputError: a number is no whole one, or below 1; a bool is none; a share is not between 0
            and 1; there is no such guarantee; `fdr` comes with another.
    """

    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    batch_size: int = 256
    overwrite: bool = False
    follow_links: bool = False
    alpha: float | None = None
    guarantee: Guarantee | None = None
    fdr: float | None = None

    def __post_init__(self) -> None:
        check_whole("jobs", self.jobs)
        check_whole("batch_size", self.batch_size)
        check_flag("overwrite", self.overwrite)
        check_flag("follow_links", self.follow_links)
        for name in ("alpha", "fdr"):
            if getattr(self, name) is not None:
                check_share(name, getattr(self, name))
        if self.guarantee is not None:
            check_choice("guarantee", self.guarantee, GUARANTEES)
        if self.fdr is not None and (self.alpha is not None or self.guarantee is not None):
            raise InputError("fdr has a threshold of its own: expected no alpha and no guarantee")
