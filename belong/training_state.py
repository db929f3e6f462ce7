"""All that the next epoch of a training depends on, as arrays and JSON values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class TrainingState:
    """The moving parts of a training.

    Attributes:
        network: its weights, and its buffers.
        optimizer: of these weights.
        schedule: of its learning rate.
        generator: on the CPU. torch's own generators, from which dropout draws, are kept as well.
        history: a row of JSON values for each epoch that is done.
        tensors: others by name, which are changed in place.
    """

    network: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    generator: torch.Generator
    history: list[Any]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every tensor, on the CPU, by KIND/NAME."""
        kept = {f"network/{name}": x for name, x in self.network.state_dict().items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            kept |= {f"optimizer/{number}/{name}": x for name, x in values.items()}
        kept |= {f"tensor/{name}": x for name, x in self.tensors.items()}
        kept["generator/own"] = self.generator.get_state()
        kept["generator/cpu"] = torch.get_rng_state()
        for number, state in enumerate(torch.cuda.get_rng_state_all()):
            kept[f"generator/cuda/{number}"] = state
        return {name: x.detach().cpu().numpy() for name, x in kept.items()}

    def about(self) -> dict[str, Any]:
        """Return all that is no tensor, as JSON values."""
        return {
            "groups": self.optimizer.state_dict()["param_groups"],
            "schedule": self.schedule.state_dict(),
            # As pairs: JSON objects come back with their keys sorted.
            "history": [list(row.items()) for row in self.history],
        }

    def take_up(self, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
        """Set everything to what `arrays()` and `about()` gave."""
        # Copies: what was read from a file may lie at any address, and torch chooses by it how to
        # add up.
        given = {name: torch.from_numpy(x).clone() for name, x in arrays.items()}
        self.network.load_state_dict(_below("network", given))
        moments: dict[int, dict[str, Tensor]] = {}
        for name, x in _below("optimizer", given).items():
            number, _, kind = name.partition("/")
            moments.setdefault(int(number), {})[kind] = x
        self.optimizer.load_state_dict({"state": moments, "param_groups": about["groups"]})
        self._lay_out_moments()
        self.schedule.load_state_dict(dict(about["schedule"]))
        for name, x in _below("tensor", given).items():
            self.tensors[name].copy_(x)
        self.generator.set_state(given["generator/own"])
        torch.set_rng_state(given["generator/cpu"])
        torch.cuda.set_rng_state_all(list(_below("generator/cuda", given).values()))
        self.history[:] = [dict(row) for row in about["history"]]

    def _lay_out_moments(self) -> None:
        """Lay each moment out in memory as its weights are: fused optimizers go by the address."""
        for weights, values in self.optimizer.state.items():
            for name, x in values.items():
                if x.shape == weights.shape:
                    values[name] = torch.empty_like(weights).copy_(x)


def _below(kind: str, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors KIND/NAME by NAME, in their order."""
    start = f"{kind}/"
    return {name.removeprefix(start): x for name, x in given.items() if name.startswith(start)}
