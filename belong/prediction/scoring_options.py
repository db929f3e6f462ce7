"""How images are scored."""

import os
from dataclasses import dataclass, field

from belong.runtime.arguments import check_flag, check_whole


@dataclass(frozen=True)
class ScoringOptions:
    """How a folder of images is scored.

    Attributes:
        jobs: processes that decode, and threads that score on processors, at most.
        batch_size: images that are scored together.
        overwrite: whether the results of another run may be replaced; no other file ever is.
        follow_links: whether what links in the folder name outside of it is read.

    Raises:
        InputError: a number is no whole one, or below 1; a bool is none.
    """

    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    batch_size: int = 256
    overwrite: bool = False
    follow_links: bool = False

    def __post_init__(self) -> None:
        check_whole("jobs", self.jobs)
        check_whole("batch_size", self.batch_size)
        check_flag("overwrite", self.overwrite)
        check_flag("follow_links", self.follow_links)
