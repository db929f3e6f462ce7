"""Save the state of a training to a file, and resume from it after an interruption.

The result is byte-identical to that of an uninterrupted training, as the state includes everything
that the next epoch depends on. The file is a safetensors file: tensors, and JSON in its header.

`checkpoint_beside` yields the `Checkpoint` of an output; `belong.models.training_loop` writes a
`TrainingState` to it after each epoch.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from belong.runtime.errors import InputError
from belong.runtime.storage import load_about, load_arrays, save_arrays

SHARE = 0.02  # maximum share of the training time for writing checkpoints


@dataclass(frozen=True)
class TrainingState:
    """The state of a training.

    Attributes:
        network: the network, with its weights and buffers.
        optimizer: the optimizer of the weights.
        schedule: the schedule of the learning rate.
        generator: on the CPU. torch's global generators, used by dropout, are saved as well.
        history: a row of JSON values for each finished epoch.
        tensors: further tensors by name, which the training changes in place.
    """

    network: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    generator: torch.Generator
    history: list[Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every tensor, on the CPU, by KIND/NAME."""
        tensors = {f"network/{name}": x for name, x in self.network.state_dict().items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{number}/{name}": x for name, x in values.items()}
        tensors |= {f"tensor/{name}": x for name, x in self.tensors.items()}
        tensors["generator/own"] = self.generator.get_state()
        tensors["generator/cpu"] = torch.get_rng_state()
        for number, state in enumerate(torch.cuda.get_rng_state_all()):
            tensors[f"generator/cuda/{number}"] = state
        return {name: x.detach().cpu().numpy() for name, x in tensors.items()}

    def about(self) -> dict[str, Any]:
        """Return all other values, as JSON values."""
        return {
            "groups": self.optimizer.state_dict()["param_groups"],
            "schedule": self.schedule.state_dict(),
            # As pairs, as JSON objects are read with sorted keys.
            "history": [list(row.items()) for row in self.history],
        }

    def take_up(self, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        """Restore the state from the results of `arrays()` and `about()`."""
        # Copies, as the order of summation in torch depends on the memory address.
        tensors = {name: torch.from_numpy(x).clone() for name, x in arrays.items()}
        self.network.load_state_dict(_below("network", tensors))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, x in _below("optimizer", tensors).items():
            number, _, kind = name.partition("/")
            moments.setdefault(int(number), {})[kind] = x
        self.optimizer.load_state_dict({"state": moments, "param_groups": about["groups"]})
        self._lay_out_moments()
        self.schedule.load_state_dict(dict(about["schedule"]))
        for name, x in _below("tensor", tensors).items():
            self.tensors[name].copy_(x)
        self.generator.set_state(tensors["generator/own"])
        torch.set_rng_state(tensors["generator/cpu"])
        torch.cuda.set_rng_state_all(list(_below("generator/cuda", tensors).values()))
        self.history[:] = [dict(row) for row in about["history"]]

    def _lay_out_moments(self) -> None:
        """Give each moment the memory layout of its weights, which fused optimizers require."""
        for weights, values in self.optimizer.state.items():
            for name, x in values.items():
                if x.shape == weights.shape:
                    values[name] = torch.empty_like(weights).copy_(x)


class Checkpoint:
    """The state after an epoch, under a name beside the training's output.

    Attributes:
        epochs: number of finished epochs; the training resumes after them.
        attempt: its number, from 0; a failed training restarts as the next attempt.
        watch: called with the row of each finished epoch.
    """

    watch: Callable[[Mapping[str, Any]], None]

    def __init__(self, path: Path, key: str) -> None:
        """Read the state of an interrupted run; see `checkpoint_beside` for the key."""
        self._path, self._key = path, key
        self._saved_state = self._read()
        self.epochs = len(self._saved_state[1]["history"]) if self._saved_state else 0
        self.attempt: int = self._saved_state[1]["attempt"] if self._saved_state else 0
        self._seconds, self._at = 0.0, time.monotonic()
        self.watch = lambda _row: None

    def take_up(self, state: TrainingState) -> None:
        """Restore the state of an interrupted training, if there is one."""
        if self._saved_state:
            state.take_up(*self._saved_state)
            self._saved_state = None

    def keep(self, state: TrainingState) -> None:
        """Save the state after an epoch, unless it was saved recently."""
        self.watch(state.history[-1])
        start = time.monotonic()
        if self._seconds > SHARE * (start - self._at):
            return
        arrays, about = state.arrays(), state.about() | {"attempt": self.attempt}
        sealed = about | {"key": self._key, "digest": _digest(arrays, about)}
        with suppress(OSError):  # the disk may be full; training continues without a checkpoint
            save_arrays(self._path, arrays, sealed)
        self._at = time.monotonic()
        self._seconds = self._at - start

    def remove(self) -> None:
        """Delete the saved state."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        try:
            about = load_about(self._path, "key", "digest", "attempt")
            key, digest = about.pop("key"), about.pop("digest")
            arrays = load_arrays(self._path) if key == self._key else {}
        except InputError:  # missing, or incomplete after a power failure
            return None
        return (arrays, about) if key == self._key and digest == _digest(arrays, about) else None


@contextmanager
def checkpoint_beside(output: Path, key: str, say: Callable[[str], None]) -> Iterator[Checkpoint]:
    """Yield the checkpoint of the training that writes `output`, `.NAME.checkpoint` beside it.

    The file is removed when the block ends, except after an interruption; after an `InputError` the
    same training would fail again. `key` is the fingerprint of all inputs of the training, see
    `belong.runtime.fingerprint`; `say` is called with a line about the resumed training.
    """
    checkpoint = Checkpoint(output.with_name(f".{output.name}.checkpoint"), key)
    if checkpoint.epochs:
        attempt = f" of attempt {checkpoint.attempt + 1}" if checkpoint.attempt else ""
        say(f"resumes after epoch {checkpoint.epochs}{attempt}")
    try:
        yield checkpoint
    except InputError:
        checkpoint.remove()
        raise
    checkpoint.remove()


def _below(kind: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return NAME -> tensor for the tensors KIND/NAME, in their order."""
    start = f"{kind}/"
    return {name.removeprefix(start): x for name, x in tensors.items() if name.startswith(start)}


def _digest(arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()
