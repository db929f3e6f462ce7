"""How images are scored."""

import os
from dataclasses import dataclass, field

from belong.runtime.errors import InputError


@dataclass(frozen=True)
class ScoringOptions:
    """How a folder of images is scored.

    Attributes:
        jobs: processes that decode, and threads that score on processors, at most.
        batch_size: images that are scored together.
        overwrite: whether the results of another run may be replaced; no other file ever is.

    Raises:
        InputError: a number is below 1.
    """

    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    batch_size: int = 256
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("jobs", "batch_size"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected at least 1, got {getattr(self, name)}")
