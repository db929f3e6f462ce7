"""Train a classifier with cross entropy + lambda x center loss (paper A, eq. 1 and 2).

The inputs stay one tensor on the device; a batch is a slice of a permutation of it, and no
number leaves the device before the epoch ends.
"""

import math
from typing import TypedDict

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.data.augmentation import augmented
from belong.models.base import Network
from belong.models.center_loss import center_loss, moved_centers
from belong.models.checkpoint import Checkpoint, TrainingState
from belong.models.optimizers import eager
from belong.runtime.errors import InputError
from belong.runtime.progress import bar


@torch.no_grad()
def accuracy(network: Network, inputs: Tensor, labels: Tensor) -> float:
    """Return the share of the n inputs whose largest logit is their label (n,)."""
    network.eval()
    hits = [
        (network(some)[1].argmax(dim=1) == truth).sum()
        for some, truth in zip(
            inputs.split(network.batch), labels.split(network.batch), strict=True
        )
    ]
    return torch.stack(hits).sum().item() / len(labels)


class Epoch(TypedDict):
    """What one pass over the training images gave; means per image."""

    epoch: int
    loss: float
    cross_entropy: float
    center_loss: float
    accuracy: float
    calibration_accuracy: float


def train_classifier(
    network: Network,
    inputs: Tensor,
    labels: Tensor,
    held_out: tuple[Tensor, Tensor],
    *,
    lambda_: float,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    momentum: float,
    weight_decay: float,
    center_rate: float,
    shift_px: int,
    flip: bool,
    generator: torch.Generator,
    checkpoint: Checkpoint | None = None,
) -> list[Epoch]:
    """Train `network` in place; return one row per epoch.

    Stochastic gradient descent with Nesterov momentum and a one-cycle schedule. The paper names
    no optimizer; in our trials AdamW classified as well but separated anomalies less.

    Args:
        network: on the device of the inputs.
        inputs: (n, ch, h, w) uint8 images, or (n, v) float32 vectors of a frozen backbone.
        labels: (n,) int64, 0..c-1.
        held_out: inputs and labels that are measured after each epoch, and choose nothing.
        lambda_: weight of the center loss, >= 0.
        epochs: passes over the inputs.
        batch_size: inputs per step; the last batch of an epoch may be smaller.
        learning_rate: the highest rate of the cycle.
        momentum: Nesterov's, 0 to 1.
        weight_decay: >= 0.
        center_rate: how far the centers move to the batch, 0 to 1.
        shift_px: how far the images of a batch are moved, and
        flip: whether they are mirrored, at random (see `belong.data.augmentation`).
        generator: on the CPU; orders the inputs, moves and mirrors them. Dropout and stochastic
            depth draw from torch's own generators, which take its seed here and get their state
            back in the end.
        checkpoint: where to go on from, and where to keep how far the training came.

    Raises:
        InputError: the loss is no longer finite, or vectors would have to be moved.
    """
    moves = shift_px > 0 or flip
    if moves and inputs.ndim == 2:
        raise InputError(
            f"train.shift_px is {shift_px} and train.flip {str(flip).lower()}, but a frozen "
            f"backbone sees each image once, as it is; wanted 0 and false"
        )
    n, c = len(inputs), network.classifier.out_features
    optimizer = eager(torch.optim.SGD)(
        network.parameters(),
        lr=learning_rate,
        momentum=momentum,
        weight_decay=weight_decay,
        nesterov=momentum > 0,
        fused=True,
    )
    steps = epochs * math.ceil(n / batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=learning_rate,
        # torch divides by zero in a cycle of 5 steps: their first fifth, less one, is none.
        total_steps=6 if steps == 5 else steps,
        pct_start=0.2,
        cycle_momentum=False,
    )
    centers = torch.zeros(c, network.feature_size, device=inputs.device)
    history: list[Epoch] = []
    state = TrainingState(network, optimizer, schedule, generator, history, {"centers": centers})
    gpus = list(range(torch.cuda.device_count()))
    with torch.random.fork_rng(gpus), bar(epochs * n, "train", "image") as progress:
        torch.manual_seed(generator.initial_seed())
        if checkpoint:
            checkpoint.take_up(state)
        progress.update(len(history) * n)
        for epoch in range(len(history) + 1, epochs + 1):
            network.train()
            sums = torch.zeros(3, device=inputs.device)
            order = torch.randperm(n, generator=generator).to(inputs.device)
            for batch in order.split(batch_size):
                some = inputs.index_select(0, batch)
                if moves:
                    some = augmented(some, shift_px=shift_px, flip=flip, generator=generator)
                features, logits = network(some)
                truth = labels.index_select(0, batch)
                cross_entropy = F.cross_entropy(logits, truth)
                pull = center_loss(features, truth, centers)
                optimizer.zero_grad()
                (cross_entropy + lambda_ * pull).backward()
                optimizer.step()
                schedule.step()
                centers.copy_(moved_centers(centers, features.detach(), truth, rate=center_rate))
                hits = (logits.detach().argmax(dim=1) == truth).sum()
                parts = torch.stack((cross_entropy.detach(), pull.detach()))
                sums += torch.cat((parts * len(batch), hits[None]))
                progress.update(len(batch))
            row = _row(epoch, (sums / n).tolist(), lambda_, accuracy(network, *held_out))
            history.append(row)
            if checkpoint:
                checkpoint.keep(state)
            progress.set_postfix(loss=f"{row['loss']:.4f}", accuracy=f"{row['accuracy']:.4f}")
    return history


def _row(epoch: int, means: list[float], lambda_: float, held_out: float) -> Epoch:
    cross_entropy, pull, hits = means
    loss = cross_entropy + lambda_ * pull
    if not math.isfinite(loss):
        raise InputError(
            f"the loss is {loss} after epoch {epoch} (cross entropy {cross_entropy:g}, center "
            f"loss {pull:g}); a smaller learning_rate or lambda keeps it finite"
        )
    return Epoch(
        epoch=epoch,
        loss=loss,
        cross_entropy=cross_entropy,
        center_loss=pull,
        accuracy=hits,
        calibration_accuracy=held_out,
    )
