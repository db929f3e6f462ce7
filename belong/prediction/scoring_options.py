"""Define the options of scoring."""

import os
from dataclasses import dataclass, field

from belong.calibration.sample_size import GUARANTEES, Guarantee
from belong.runtime.arguments import check_choice, check_flag, check_share, check_whole
from belong.runtime.errors import InputError


@dataclass(frozen=True)
class ScoringOptions:
    """The options of scoring a folder of images.

    Attributes:
        jobs: maximum number of decoding processes, and of scoring threads on the CPU.
        batch_size: images per batch.
        overwrite: whether to replace the results of another run; no other file is replaced.
        follow_links: whether to follow links that lead out of the folder.
        alpha: false-rejection rate; the model's own if None.
        guarantee: scope of alpha: "marginal", "training-conditional" or "per-class", see
            `Model.predict`; the model's own if None.
        fdr: instead of both, the false discovery rate among the rejected images.

    Raises:
        InputError: a number is not whole or below 1, a flag is not a bool, a share is not between 0
            and 1, the guarantee is unknown, or `fdr` is combined with `alpha` or `guarantee`.
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
