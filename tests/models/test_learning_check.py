"""A network that does not learn is detected, trained again at a lower rate, or refused."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from belong.models import checkpoint as checkpoints
from belong.models.backbones.networks import FrozenBackbone
from belong.models.checkpoint import Checkpoint, TrainingState
from belong.models.learning_check import LearningCheck
from belong.models.lenet import LeNet
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.models.training_loop import Row, TrainingFailedError
from belong.runtime.errors import InputError

CPU = torch.device("cpu")
EPOCHS = 10


def bars(each: int = 20, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return images of 12 px with a bright bar, whose place is one of three classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(3 * each) % 3
    images = torch.randint(0, 60, (3 * each, 1, 12, 12), dtype=torch.uint8, generator=generator)
    for image, label in zip(images, labels.tolist(), strict=True):
        image[0, 4 * label + 1 : 4 * label + 3] += 180
    return images, labels


def options(learning_rate: float, *, epochs: int = EPOCHS) -> TrainingOptions:
    return TrainingOptions(
        lambda_=0.0, epochs=epochs, batch_size=6, learning_rate=learning_rate, momentum=0.9,
        weight_decay=0.0005, center_rate=0.5, shift_px=0, flip=False, embedding=2,
    )  # fmt: skip


def fitted(
    rate: float,
    *,
    held_out: tuple[Tensor, Tensor] | None = None,
    checkpoint: Checkpoint | None = None,
    epochs: int = EPOCHS,
    refuses_chance: bool = True,
) -> tuple[dict[str, bytes], list[Row]]:
    network, rows = fit_classifier(
        *bars(), held_out or bars(10, seed=1),
        network="lenet", classes=3, options=options(rate, epochs=epochs),
        generator=torch.Generator().manual_seed(0), device=CPU, checkpoint=checkpoint,
        refuses_chance=refuses_chance,
    )  # fmt: skip
    return {name: values.tobytes() for name, values in network.arrays().items()}, rows


def checked(
    spoil: Callable[[LeNet], None], *, epochs: int = EPOCHS, batch_size: int = 6
) -> LearningCheck:
    images, labels = bars()
    network = LeNet.for_images(images, classes=3)
    network.initialize(images, torch.Generator().manual_seed(0))
    with torch.no_grad():
        spoil(network)
    return LearningCheck(network, images, labels, epochs, batch_size)


def dead(network: LeNet) -> None:
    network.hidden2.weight.zero_()
    network.hidden2.bias.fill_(-1)


def same_class_always(network: LeNet) -> None:
    network.classifier.weight.zero_()


def row(epoch: int, accuracy: float) -> Row:
    return {"epoch": epoch, "loss": 1.1, "accuracy": accuracy}


@pytest.mark.parametrize("epoch", [1, 9])
def test_a_network_whose_features_are_all_the_same_is_dead_after_any_epoch(epoch: int) -> None:
    with pytest.raises(TrainingFailedError, match=f"dead after epoch {epoch} of 10"):
        checked(dead).after_epoch(row(epoch, 1 / 3))


@pytest.mark.parametrize(
    # 60 images: a pass has 10 steps of 6, or 2 of 30; of the passes 0.3, but at least 300 steps.
    ("epochs", "batch_size", "patience"),
    [(200, 6, 60), (50, 6, 30), (200, 30, 150)],
)
def test_a_network_that_is_alive_and_at_chance_has_some_passes_to_learn(
    epochs: int, batch_size: int, patience: int
) -> None:
    learning = checked(same_class_always, epochs=epochs, batch_size=batch_size)
    for epoch in (1, patience - 1, patience + 1):
        learning.after_epoch(row(epoch, 1 / 3))
    with pytest.raises(TrainingFailedError, match=rf"at chance after epoch {patience} of .*: loss"):
        learning.after_epoch(row(patience, 1 / 3))


def test_an_embedding_above_a_frozen_backbone_that_is_dead_is_noticed() -> None:
    vectors, labels = torch.rand(60, 9), torch.arange(60) % 3
    network = FrozenBackbone(classes=3, embedding=5, early=2, middle=3, last=4)
    network.initialize(vectors, torch.Generator().manual_seed(0))
    with torch.no_grad():
        network.embedding.weight.zero_()
        network.embedding.bias.fill_(-1)
    with pytest.raises(TrainingFailedError, match="dead after epoch 1 of 10"):
        LearningCheck(network, vectors, labels, EPOCHS, 6).after_epoch(row(1, 1 / 3))


def test_a_network_at_chance_in_the_end_has_failed() -> None:
    learning = checked(same_class_always)
    for epoch in range(1, EPOCHS + 1):  # too few steps to give it up before
        learning.after_epoch(row(epoch, 1 / 3))
    with pytest.raises(TrainingFailedError, match=r"at chance after training: accuracy 0\.333"):
        learning.at_end()


def test_a_caller_that_judges_the_network_may_take_one_that_has_learned_nothing() -> None:
    """At a rate of 1e-30 no weight moves."""
    with pytest.raises(InputError, match="last failure: the network is at chance after training"):
        fitted(1e-30, epochs=1)
    _, rows = fitted(1e-30, epochs=1, refuses_chance=False)
    assert rows[-1]["accuracy"] < 0.5


def test_an_accuracy_far_above_chance_is_not_looked_into() -> None:
    checked(dead).after_epoch(row(3, 0.9))


def test_features_of_one_class_that_are_all_the_same_have_no_spread() -> None:
    images, labels = bars()
    assert checked(lambda _network: None).has_spread()
    network = checked(lambda _network: None).network
    images[labels == 1] = images[1].clone()
    assert not LearningCheck(network, images, labels, EPOCHS, 6).has_spread()


@pytest.mark.pipeline
def test_a_training_that_fails_gives_what_a_lower_rate_gives_from_the_start(
    capsys: pytest.CaptureFixture[str],
) -> None:
    second = fitted(20.0)
    lines = capsys.readouterr().err.splitlines()
    lower = [
        re.findall(r"restarting at learning_rate (.*) \(attempt (.) of 4\)", line) for line in lines
    ]
    assert lower == [[("5", "2")], [("1.25", "3")], [("0.3125", "4")]]
    assert second == fitted(0.3125)
    assert not capsys.readouterr().err


def test_a_training_that_fails_four_times_is_refused_with_what_helps() -> None:
    message = (
        r"the training failed 4 times, at learning_rate 1e\+06 down to 15625; last failure: the "
        r"loss is nan after epoch 1 .* more images of each class, pretrained weights "
        r"\(--weights\), more passes \(train.epochs\) or a lower train.learning_rate"
    )
    with pytest.raises(InputError, match=message):
        fitted(1e6)


@pytest.mark.pipeline
def test_a_network_at_chance_on_the_images_held_out_is_refused() -> None:
    images, _ = bars(10, seed=1)
    unrelated = torch.arange(30) // 3 % 3  # one of three is right
    message = (
        "at chance on the 30 images held out of its training: accuracy 0.333, guessing reaches"
    )
    with pytest.raises(InputError, match=message):
        fitted(0.02, held_out=(images, unrelated))
    assert fitted(0.02, held_out=(images, unrelated), refuses_chance=False)[0] == fitted(0.02)[0]


class KilledError(Exception):
    """Simulates a killed process: nothing is cleaned up."""


class KilledIn(Checkpoint):
    """Ends the training after an epoch of an attempt."""

    def __init__(self, path: Path, attempt: int, epoch: int) -> None:
        super().__init__(path, "key")
        self._last = attempt, epoch

    def keep(self, state: TrainingState) -> None:
        super().keep(state)
        if (self.attempt, len(state.history)) == self._last:
            raise KilledError


@pytest.mark.robustness
def test_a_training_killed_in_any_attempt_gives_the_bytes_of_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))
    path = tmp_path / "checkpoint"
    # Attempt 0 fails after its first epoch, 1 and 2 after their second.
    for attempt, epoch in ((1, 1), (2, 1), (3, 2), (3, EPOCHS)):
        with pytest.raises(KilledError):
            fitted(20.0, checkpoint=KilledIn(path, attempt, epoch))
        last = Checkpoint(path, "key")
        assert (last.attempt, last.epochs) == (attempt, epoch)
    capsys.readouterr()
    assert fitted(20.0, checkpoint=Checkpoint(path, "key")) == fitted(0.3125)
    assert not capsys.readouterr().err  # no attempt is made twice
