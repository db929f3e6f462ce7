"""Note which stages of a sequence are finished, so that an interrupted one goes on from there.

`finished.json` lies in the folder of their files. It has a sum of all that the sequence depends on,
and one of the outputs of each finished stage: what a power failure has cut off is made again, and
what depends on it.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from belong.runtime.storage import save_json
from stages.sequence import Step

NAME = "finished.json"


class Finished:
    """The stages that are finished in a folder.

    Attributes:
        is_other: what was found there depends on something else, and counts for nothing.
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Read what an interrupted run has left.

        Args:
            folder: takes the place of the project's, see `stages.sequence.run_steps`.
            key: stands for all that the sequence depends on, see `belong.runtime.fingerprint`.
        """
        self._folder, self._key = folder, key
        found = self._read()
        self.is_other = bool(found) and found.get("key") != key
        self._sums: dict[str, str] = {} if self.is_other else dict(found.get("stages", {}))

    def left(self, steps: Iterable[Step]) -> list[Step]:
        """Return the steps from the first one on whose outputs are not there as they were made."""
        every = list(steps)
        for place, step in enumerate(every):
            if self._sums.get(step.name) != self._sum(step):
                return every[place:]
        return []

    def note(self, step: Step) -> None:
        """Note that a step is finished."""
        self._sums[step.name] = self._sum(step)
        save_json(self._folder / NAME, {"key": self._key, "stages": self._sums})

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self._folder / NAME).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none, or a power cut left half of it
            return {}

    def _sum(self, step: Step) -> str:
        """Return a sum of the names and bytes of all that a step has written."""
        made = hashlib.sha256()
        for name in sorted(step.outputs):
            top = self._folder / name
            files = sorted(top.rglob("*")) if top.is_dir() else [top]
            for path in files:
                made.update(f"{path.relative_to(self._folder)} ".encode())
                if path.is_file():
                    with path.open("rb") as file:
                        made.update(hashlib.file_digest(file, "sha256").digest())
        return made.hexdigest()
