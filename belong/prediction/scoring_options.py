"""Define the options of scoring."""

import os
from dataclasses import dataclass, field

from belong.runtime.arguments import check_flag, check_whole


@dataclass(frozen=True)
class ScoringOptions:
    """The options of scoring a folder of images.

    Attributes:
        jobs: maximum number of decoding processes, and of scoring threads on the CPU.
        batch_size: images per batch.
        overwrite: whether to replace the results of another run; no other file is replaced.
        follow_links: whether to follow links that lead out of the folder.

    Raises:
        InputError: a number is not whole or below 1, or a flag is not a bool.
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
