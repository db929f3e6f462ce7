"""Store the slow results of a fit in a work folder, so that an interrupted fit can resume.

Each result is a safetensors file with its SHA-256 beside it; a file that a power failure has cut
off is computed again. The file `key` has the hash of all inputs.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from belong.commands.fit.work_folder import KEY, check_work, remove_work
from belong.models.checkpoint import Checkpoint, checkpoint_beside
from belong.runtime.fingerprint import sha256
from belong.runtime.storage import (
    load_about,
    load_arrays,
    make_work_folder,
    names_in,
    read_bytes,
    save_arrays,
    save_text,
)
from belong.runtime.text import say

Arrays = dict[str, np.ndarray]
Result = tuple[Arrays, dict[str, Any]]  # arrays and metadata


class Workspace:
    """The stored results of a fit.

    Attributes:
        is_other: whether results of other inputs were found, and removed.
    """

    def __init__(self, folder: Path, key: str) -> None:
        """Open the results of an interrupted run; `key`: see `belong.runtime.fingerprint`.

        Raises:
            InputError: the folder was not created by a fit.
        """
        check_work(folder)
        self._folder, self._key, note = folder, key, folder / KEY
        content = read_bytes(note) if note.is_file() else b""
        self.is_other = bool(content) and content != key.encode()
        if content != key.encode():
            remove_work(folder)
            make_work_folder(folder)
            save_text(note, key)

    def has(self, name: str) -> bool:
        """Return whether a result is stored and intact."""
        try:
            return read_bytes(self._sum(name)) == sha256(self._path(name)).encode()
        except OSError:  # missing, or cut off by a power failure
            return False

    def keep(self, name: str, compute: Callable[[], Result]) -> Result:
        """Return the stored result, or compute and store it."""
        if not self.has(name):
            self._save(name, compute())
        return load_arrays(self._path(name)), load_about(self._path(name))

    def keep_on_disk(self, name: str, compute: Callable[[], Result]) -> dict[str, Any]:
        """Compute and store a result, and return only its metadata; `load` reads its arrays."""
        if not self.has(name):
            self._save(name, compute())
        return load_about(self._path(name))

    def names(self, name: str) -> list[str]:
        """Return the names of the arrays of a result."""
        return names_in(self._path(name))

    def load(self, name: str, array: str) -> np.ndarray:
        """Return one array of a result."""
        return load_arrays(self._path(name), array)[array]

    def keep_training(self, name: str, train: Callable[[Checkpoint], Result]) -> Result:
        """Return the result of a training; an interrupted training resumes after its last epoch."""
        if not self.has(name):
            with checkpoint_beside(self._path(name), self._key, say) as checkpoint:
                self._save(name, train(checkpoint))
        return load_arrays(self._path(name)), load_about(self._path(name))

    def _save(self, name: str, result: Result) -> None:
        save_arrays(self._path(name), *result)
        save_text(self._sum(name), sha256(self._path(name)))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.safetensors"

    def _sum(self, name: str) -> Path:
        return self._folder / f"{name}.sha256"
