"""Keep the state of a training in a file, and go on from there after an interruption.

What an uninterrupted training would have given comes out, byte for byte: the state is all that the
next epoch depends on. It is a safetensors file: tensors, and JSON in its header.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from belong.artefacts import load_about, load_arrays, save_arrays
from belong.errors import InputError
from belong.training_state import TrainingState

SHARE = 0.02  # of the time of a training, to write checkpoints in


class Checkpoint:
    """The state after an epoch, under a name beside the training's output.

    Attributes:
        epochs: so many are done; the training starts behind them.
    """

    def __init__(self, path: Path, key: str) -> None:
        """Read what an interrupted run has left.

        Args:
            path: the file.
            key: stands for all that the training depends on; the state of another is not read.
        """
        self._path, self._key = path, key
        self._found = self._read()
        self.epochs = len(self._found[1]["history"]) if self._found else 0
        self._seconds, self._at = 0.0, time.monotonic()

    def take_up(self, state: TrainingState) -> None:
        """Bring a training that has not begun to where it was interrupted, if it was."""
        if self._found:
            state.take_up(*self._found)
            self._found = None

    def keep(self, state: TrainingState) -> None:
        """Write down the state after an epoch, unless the last time was too short ago."""
        start = time.monotonic()
        if self._seconds > SHARE * (start - self._at):
            return
        arrays, about = state.arrays(), state.about()
        sealed = about | {"key": self._key, "digest": _digest(arrays, about)}
        with suppress(OSError):  # the disk may be full: the training needs no checkpoint
            save_arrays(self._path, arrays, sealed)
        self._at = time.monotonic()
        self._seconds = self._at - start

    def remove(self) -> None:
        """Forget the state: there is nothing left to go on with."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        try:
            about = load_about(self._path, "key", "digest")
            key, digest = about.pop("key"), about.pop("digest")
            arrays = load_arrays(self._path) if key == self._key else {}
        except InputError:  # none, or a power cut left half of it
            return None
        return (arrays, about) if key == self._key and digest == _digest(arrays, about) else None


def _digest(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> str:
    made = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        made.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        made.update(np.ascontiguousarray(arrays[name]).data)
    return made.hexdigest()


@contextmanager
def checkpoint_beside(output: Path, key: str, say: Callable[[str], None]) -> Iterator[Checkpoint]:
    """Yield the checkpoint of the training that writes `output`, `.NAME.checkpoint` beside it.

    It is removed when the block ends, unless it is interrupted: after an `InputError` the same
    training would only fail again.

    Args:
        output: what comes out.
        key: stands for all that the training depends on, see `belong.fingerprint`.
        say: is told, in a line, where the training goes on.
    """
    made = Checkpoint(output.with_name(f".{output.name}.checkpoint"), key)
    if made.epochs:
        say(f"goes on after epoch {made.epochs}, where it was interrupted")
    try:
        yield made
    except InputError:
        made.remove()
        raise
    made.remove()
