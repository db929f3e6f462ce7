"""Run the training loop of every network: epochs, batches, schedule, progress and checkpoints.

A batch is a slice of a permutation of the rows. No number is copied from the device before the end
of an epoch.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from belong.models.checkpoint import Checkpoint, TrainingState
from belong.runtime.errors import InputError
from belong.runtime.progress import bar

Row = dict[str, float]  # row of the history: the epoch and its metrics
Kind = TypeVar("Kind", bound=Optimizer)
# The methods of an optimizer that torch wraps, without `step`, which is also run without gradients.
WRAPPED = "add_param_group", "zero_grad", "state_dict", "load_state_dict"
SHOWN = "loss", "reconstruction_error", "accuracy"  # columns that the progress bar shows


class TrainingFailedError(InputError):
    """A network diverged, died or learned nothing; a lower learning rate may help."""


@dataclass(frozen=True)
class Objective:
    """The objective of a training.

    Attributes:
        batch: rows (b,) of the training data -> the loss () to minimize, and sums (s,) over the
            rows.
        row: sums (s,) over all n rows of an epoch -> the columns of the history; the first is the
            loss.
        name: name of the loss, for the message about a non-finite loss.
        remedy: the parameters that a user should then reduce.
        parts: further columns in this message.
        check: called with the columns of each epoch; raises `TrainingFailedError` to stop a
            training without progress.
    """

    batch: Callable[[Tensor], tuple[Tensor, Tensor]]
    row: Callable[[Tensor], Row]
    name: str
    remedy: str
    parts: tuple[str, ...] = ()
    check: Callable[[Row], None] = lambda _row: None


def train(
    network: nn.Module,
    objective: Objective,
    optimizer: Optimizer,
    *,
    n: int,
    epochs: int,
    batch_size: int,
    generator: torch.Generator,
    description: str | None,
    warm_up: float = 0.3,
    cycle_momentum: bool = False,
    tensors: Mapping[str, Tensor] | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[Row]:
    """Train `network` in place, with a one-cycle schedule; return one row per epoch.

    Args:
        network: the network, on the device of the training data.
        objective: the loss and its measurements.
        optimizer: the optimizer of the network's weights; its rate is the maximum of the cycle.
        n: number of rows of the training data.
        epochs: passes over the data.
        batch_size: rows per step; the last batch of an epoch may be smaller.
        generator: on the CPU; draws the order of the rows. Dropout and stochastic depth use torch's
            global generators, which are seeded here and restored at the end.
        description: label of the progress bar; None for no bar.
        warm_up: share of the steps with a rising rate, 0 to 1.
        cycle_momentum: whether the momentum falls while the rate rises.
        tensors: further tensors that the training changes in place, by name.
        checkpoint: to resume from, and to save progress in.

    Raises:
        TrainingFailedError: the loss is no longer finite, or `objective.check` raises it.
    """
    device = next(network.parameters()).device
    steps = epochs * math.ceil(n / batch_size)
    schedule = OneCycleLR(
        optimizer,
        max_lr=optimizer.defaults["lr"],
        # torch divides by zero if the rate rises for a single step.
        total_steps=steps + (steps * warm_up == 1),
        pct_start=warm_up,
        cycle_momentum=cycle_momentum,
    )
    history: list[Row] = []
    state = TrainingState(network, optimizer, schedule, generator, history, tensors or {})
    gpus = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(gpus), bar(epochs * n, description, "image") as progress:
        torch.manual_seed(generator.initial_seed())
        if checkpoint:
            checkpoint.take_up(state)
        progress.update(len(history) * n)
        for epoch in range(len(history) + 1, epochs + 1):
            network.train()
            sums = torch.zeros((), device=device)
            for batch in torch.randperm(n, generator=generator).to(device).split(batch_size):
                loss, batch_sums = objective.batch(batch)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                sums = sums + batch_sums
                progress.update(len(batch))
            row = {"epoch": epoch, **objective.row(sums)}
            _check_finite(row, objective)
            objective.check(row)
            history.append(row)
            if checkpoint:
                checkpoint.keep(state)
            progress.set_postfix({name: f"{row[name]:.4f}" for name in SHOWN if name in row})
    return history


def _check_finite(row: Row, objective: Objective) -> None:
    epoch, loss, *_ = row.values()
    if not math.isfinite(loss):
        parts = ", ".join(f"{name.replace('_', ' ')} {row[name]:g}" for name in objective.parts)
        raise TrainingFailedError(
            f"the {objective.name} is {loss} after epoch {epoch}{f' ({parts})' if parts else ''}; "
            f"try a smaller {objective.remedy}"
        )


def eager(kind: type[Kind]) -> type[Kind]:
    """Return an optimizer class, such as torch.optim.Adam, with the same steps but no compiler.

    The methods of torch's optimizers import its compiler to exclude themselves from compilation,
    which takes 1.3 s in each process. The result must not be used with `torch.compile`, and is not
    differentiable.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    uncompiled: type[Kind] = type(kind.__name__, (kind,), methods)
    return uncompiled
