"""Train a classifier with cross entropy + lambda x center loss (paper A, eq. 1 and 2).

The pipeline, `belong fit` and `belong clean` call `fit_classifier`, which builds a network, draws
its weights and trains it. A training that fails (the loss diverges, the network dies or learns
nothing) starts again with a lower learning rate.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor

from belong.data.augmentation import augmented
from belong.models.backbones.backbone import Backbone
from belong.models.base import Network
from belong.models.center_loss import center_loss, moved_centers
from belong.models.checkpoint import Checkpoint
from belong.models.learning_check import REMEDIES, LearningCheck, check_held_out, predict
from belong.models.registry import build
from belong.models.training_loop import Objective, Row, TrainingFailedError, eager, train
from belong.parameters import TrainSection
from belong.runtime.errors import InputError
from belong.runtime.text import say

ATTEMPTS = 4  # maximum number of attempts at a training
DIVISOR = 4  # the learning rate of each attempt is divided by this for the next


class TrainingOptions(TrainSection):
    """The section `train` of params.yaml, which explains each number.

    Attributes:
        lambda_: weight of the center loss, >= 0.
        optimizer: see `optimizer_of`. It is not a parameter of params.yaml; among several recipes,
            reports/normalized selects one with `sgd`.
    """

    lambda_: float
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"


def fit_classifier(
    inputs: Tensor,
    labels: Tensor,
    held_out: tuple[Tensor, Tensor],
    *,
    network: str,
    classes: int,
    options: TrainingOptions,
    generator: torch.Generator,
    device: torch.device,
    backbone: Backbone | None = None,
    checkpoint: Checkpoint | None = None,
    refuses_chance: bool = True,
    description: str | None = "train",
) -> tuple[Network, list[Row]]:
    """Build and train a network; return it, on the device, with one row per epoch.

    A failed training restarts with the same initial weights and the same order of the images, at a
    quarter of the learning rate. The result equals a training with this rate from the start.

    Args:
        inputs: (n, ch, h, w) uint8 images, or (n, v) float32 vectors of a frozen backbone, on the
            CPU, like all tensors here.
        labels: (n,) int64, 0..c-1.
        held_out: inputs and labels, evaluated after each epoch. They are not used for selection,
            but a network at chance on them may be refused.
        network: name in `belong.models.registry.NETWORKS`.
        classes: c.
        options: the training options.
        generator: on the CPU; draws the weights, the order of the inputs, shifts and flips.
        device: device for the training.
        backbone: for a network with a backbone; not modified.
        checkpoint: to resume from, and to save progress in.
        refuses_chance: whether to refuse a network that ends at chance on the training or
            held-out images. A caller that checks the result itself may pass False.
        description: label of the progress bar; None shows none.

    Raises:
        InputError: the network cannot take images of this size, `inputs` are embeddings, which
            cannot be shifted, all attempts failed, or the network is refused.
    """
    start = generator.get_state()

    def attempt(number: int) -> tuple[Network, list[Row]]:
        generator.set_state(start)
        if checkpoint:
            checkpoint.attempt = number
        new_network = build(
            network, inputs, classes=classes, embedding=options.embedding, backbone=backbone
        )
        new_network.initialize(inputs, generator)
        history = train_classifier(
            new_network.to(device),
            inputs.to(device),
            labels.to(device),
            (held_out[0].to(device), held_out[1].to(device)),
            options=_slower(options, number),
            generator=generator,
            checkpoint=checkpoint,
            description=description,
        )
        learning = LearningCheck(
            new_network, inputs.to(device), labels.to(device), options.epochs, options.batch_size
        )
        is_last = number == ATTEMPTS - 1
        if refuses_chance or not is_last:
            learning.at_end()
        # After the last attempt, the detectors on other layers may still work; `mahalanobis.fit`
        # reports a class without spread.
        if not is_last and not learning.has_spread():
            raise TrainingFailedError("all images of a class have the same features after training")
        return new_network, history

    trained, history = _first_success(attempt, options, checkpoint.attempt if checkpoint else 0)
    if refuses_chance:
        check_held_out(trained, held_out[0].to(device), held_out[1])
    return trained, history


def _slower(options: TrainingOptions, attempt: int) -> TrainingOptions:
    rate = options.learning_rate / DIVISOR**attempt
    return options.model_copy(update={"learning_rate": rate})


def _first_success(
    attempt: Callable[[int], tuple[Network, list[Row]]], options: TrainingOptions, first: int
) -> tuple[Network, list[Row]]:
    """Return the result of the first successful attempt; report the failed ones.

    Raises:
        TrainingFailedError: none succeeds.
    """
    failures = []
    for number in range(first, ATTEMPTS):
        try:
            return attempt(number)
        except TrainingFailedError as error:
            failures.append(error)
            if number < ATTEMPTS - 1:
                rate = _slower(options, number + 1).learning_rate
                say(
                    f"{error}; restarting at learning_rate {rate:g} (attempt "
                    f"{number + 2} of {ATTEMPTS})"
                )
    lowest = _slower(options, ATTEMPTS - 1).learning_rate
    raise TrainingFailedError(
        f"the training failed {ATTEMPTS} times, at learning_rate {options.learning_rate:g} down to "
        f"{lowest:g}; last failure: {failures[-1]}; remedies: {REMEDIES}"
    )


def train_classifier(
    network: Network,
    inputs: Tensor,
    labels: Tensor,
    held_out: tuple[Tensor, Tensor],
    *,
    options: TrainingOptions,
    generator: torch.Generator,
    checkpoint: Checkpoint | None = None,
    description: str | None = "train",
) -> list[Row]:
    """Train `network` in place; return one row per epoch.

    The optimizer is that of `optimizer_of`, with a one-cycle schedule. The paper names none.

    The arguments are those of `fit_classifier`, with all tensors on the device of the network.

    Returns:
        For each epoch `epoch`, the means per image `loss`, `cross_entropy` and `center_loss`, and
        the shares `accuracy` and `calibration_accuracy` (on the held-out inputs).

    Raises:
        TrainingFailedError: the loss is no longer finite, or the network does not learn.
        InputError: `inputs` are embeddings, which cannot be shifted.
    """
    shift_px, flip, lambda_ = options.shift_px, options.flip, options.lambda_
    moves = shift_px > 0 or flip
    if moves and inputs.ndim == 2:
        raise InputError(
            f"train.shift_px is {shift_px} and train.flip {str(flip).lower()}, but a frozen "
            f"backbone sees each image once, as it is; expected 0 and false"
        )
    n, centers = len(inputs), torch.zeros_like(network.classifier.weight)  # (c, d)

    def batch_loss(batch: Tensor) -> tuple[Tensor, Tensor]:
        images, truth = inputs.index_select(0, batch), labels.index_select(0, batch)
        if moves:
            images = augmented(images, shift_px=shift_px, flip=flip, generator=generator)
        features, logits = network(images)
        cross_entropy = F.cross_entropy(logits, truth)
        pull = center_loss(features, truth, centers)
        rate = options.center_rate
        centers.copy_(moved_centers(centers, features.detach(), truth, rate=rate))
        hits = (logits.detach().argmax(dim=1) == truth).sum()
        parts = torch.stack((cross_entropy.detach(), pull.detach()))
        return cross_entropy + lambda_ * pull, torch.cat((parts * len(batch), hits[None]))

    def row(sums: Tensor) -> Row:
        cross_entropy, pull, hits = (sums / n).tolist()
        return {
            "loss": cross_entropy + lambda_ * pull,
            "cross_entropy": cross_entropy,
            "center_loss": pull,
            "accuracy": hits,
            "calibration_accuracy": accuracy(network, *held_out),
        }

    return train(
        network,
        Objective(
            batch_loss,
            row,
            name="loss",
            remedy="learning_rate or lambda",
            parts=("cross_entropy", "center_loss"),
            check=LearningCheck(
                network, inputs, labels, options.epochs, options.batch_size
            ).after_epoch,
        ),
        optimizer_of(network, options),
        n=n,
        epochs=options.epochs,
        batch_size=options.batch_size,
        generator=generator,
        description=description,
        warm_up=0.2,
        tensors={"centers": centers},
        checkpoint=checkpoint,
    )


def optimizer_of(network: Network, options: TrainingOptions) -> torch.optim.Optimizer:
    """Return the optimizer of a network's weights.

    `sgd` is stochastic gradient descent with Nesterov momentum; the momentum of `adam` and `adamw`
    is the decay rate of their first moment. The weight decay of `adam` is part of the gradient,
    that of `adamw` is not (Loshchilov and Hutter, 2019).
    """
    weights, rate, decay = network.parameters(), options.learning_rate, options.weight_decay
    momentum = options.momentum
    if options.optimizer == "sgd":
        return eager(torch.optim.SGD)(
            weights, lr=rate, momentum=momentum, weight_decay=decay, nesterov=momentum > 0,
            fused=True,
        )  # fmt: skip
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return eager(kind)(weights, lr=rate, betas=(momentum, 0.999), weight_decay=decay, fused=True)


def accuracy(network: Network, inputs: Tensor, labels: Tensor) -> float:
    """Return the share of the n inputs whose largest logit is their label (n,).

    The network is on the device of the inputs.
    """
    _, predictions = predict(network, inputs)
    return (predictions == labels.cpu()).sum().item() / len(labels)
