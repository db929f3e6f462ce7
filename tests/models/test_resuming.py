"""A training that was interrupted after any epoch gives the bytes of one that was not."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from belong.detectors import mlp_head
from belong.models import autoencoder, checkpoint
from belong.models.backbones.catalog import backbone_named
from belong.models.backbones.networks import FineTunedBackbone
from belong.models.checkpoint import Checkpoint, TrainingState, checkpoint_beside
from belong.models.lenet import LeNet
from belong.models.train_classifier import TrainingOptions, train_classifier
from belong.runtime.errors import InputError
from belong.runtime.fingerprint import fingerprint
from belong.runtime.storage import load_about, load_arrays, save_arrays

EPOCHS = 4
KEY = "the same run"


class KilledError(Exception):
    """Simulates a killed process: nothing is cleaned up."""


class KilledAfter(Checkpoint):
    """Ends the training after so many epochs in all."""

    def __init__(self, path: Path, epochs: int, *, key: str = KEY) -> None:
        super().__init__(path, key)
        self._last = epochs

    def keep(self, state: TrainingState) -> None:
        super().keep(state)
        if len(state.history) == self._last:
            raise KilledError


@pytest.fixture(autouse=True)
def each_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SHARE", float("inf"))


def images(n: int, side_px: int = 12) -> Tensor:
    shape = (n, 1, side_px, side_px)
    generator = torch.Generator().manual_seed(5)
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def classifier(
    network: LeNet | FineTunedBackbone, pixels: Tensor, checkpoint: Checkpoint | None
) -> Any:
    generator = torch.Generator().manual_seed(3)
    network.initialize(pixels, generator)
    labels = torch.arange(len(pixels)) % 3
    options = TrainingOptions(
        lambda_=0.5, epochs=EPOCHS, batch_size=4, learning_rate=0.01, momentum=0.9,
        weight_decay=0.0005, center_rate=0.5, shift_px=1, flip=True, embedding=2,
    )  # fmt: skip
    rows = train_classifier(
        network, pixels, labels, (pixels, labels),
        options=options, generator=generator, checkpoint=checkpoint,
    )  # fmt: skip
    return network, rows


def lenet(checkpoint: Checkpoint | None) -> Any:
    return classifier(LeNet(classes=3, channels=1, height=12, width=12), images(13), checkpoint)


def fine_tuned(checkpoint: Checkpoint | None) -> Any:
    """Its dropout draws from torch's own generator."""
    backbone = backbone_named("test_efficientnet", "none")
    return classifier(
        FineTunedBackbone(classes=3, backbone=backbone), images(5, side_px=33), checkpoint
    )


def paper_b(checkpoint: Checkpoint | None) -> Any:
    return autoencoder.fit(
        images(13), units=5, epochs=EPOCHS, batch_size=4, learning_rate=0.01, most_side_px=32,
        generator=torch.Generator().manual_seed(3), checkpoint=checkpoint,
    )  # fmt: skip


def head(checkpoint: Checkpoint | None) -> Any:
    features = images(26).flatten(1).float()
    return mlp_head.fit(
        features[:13], features[13:], epochs=EPOCHS, batch_size=4, learning_rate=0.01,
        generator=torch.Generator().manual_seed(3), checkpoint=checkpoint,
    )  # fmt: skip


Training = Callable[[Checkpoint | None], Any]


def outcome(training: Any) -> tuple[dict[str, bytes], str]:
    """Return the bytes of the weights, and the rows as they are written."""
    network, rows = training
    return {name: x.tobytes() for name, x in network.arrays().items()}, json.dumps(rows)


@pytest.mark.robustness
@pytest.mark.parametrize("train", [lenet, fine_tuned, paper_b, head])
def test_a_training_killed_after_every_epoch_gives_the_bytes_of_one_that_was_not(
    train: Training, tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    for epoch in range(1, EPOCHS):
        with pytest.raises(KilledError):
            train(KilledAfter(path, epoch))
    last = Checkpoint(path, KEY)
    assert last.epochs == EPOCHS - 1
    assert outcome(train(last)) == outcome(train(None))


def test_a_training_killed_after_its_last_epoch_has_nothing_left_to_learn(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        lenet(KilledAfter(tmp_path / "checkpoint", EPOCHS))
    assert outcome(lenet(Checkpoint(tmp_path / "checkpoint", KEY))) == outcome(lenet(None))


def test_the_checkpoint_of_another_run_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(KilledError):
        lenet(KilledAfter(path, 2, key="another run"))
    assert Checkpoint(path, KEY).epochs == 0
    assert Checkpoint(path, "another run").epochs == 2


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def of_another_kind(path: Path) -> None:
    path.write_bytes(b"no safetensors")


def one_bit_turned(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def another_rate(path: Path) -> None:
    about = load_about(path)
    about["groups"][0]["lr"] *= 2
    save_arrays(path, load_arrays(path), about)


@pytest.mark.parametrize(
    "spoil", [half, of_another_kind, one_bit_turned, another_rate, Path.unlink]
)
def test_a_checkpoint_that_is_not_as_it_was_written_is_not_read(
    spoil: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(KilledError):
        lenet(KilledAfter(path, 2))
    spoil(path)
    assert Checkpoint(path, KEY).epochs == 0


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = Checkpoint(tmp_path / "file" / "checkpoint", KEY)
    assert outcome(lenet(nowhere)) == outcome(lenet(None))


def test_checkpoints_take_a_fiftieth_of_the_time_after_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An epoch takes 10 s, a checkpoint 1 s: one is written every five epochs."""
    monkeypatch.setattr(checkpoint, "SHARE", 0.02)
    seconds, epochs = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: seconds[0])

    def slow(_path: Path, _arrays: object, about: dict[str, Any]) -> None:
        seconds[0] += 1
        epochs.append(len(about["history"]))

    monkeypatch.setattr(checkpoint, "save_arrays", slow)
    file = Checkpoint(tmp_path / "checkpoint", KEY)
    weights = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = torch.optim.SGD(weights, lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    rows: list[dict[str, int]] = []
    state = TrainingState(torch.nn.Identity(), optimizer, schedule, torch.Generator(), rows)
    for epoch in range(1, 13):
        seconds[0] += 10
        rows.append({"epoch": epoch})
        file.keep(state)
    assert epochs == [1, 6, 11]


@pytest.mark.parametrize(
    ("end", "is_left"),
    [(None, False), (InputError("the loss is nan"), False), (KeyboardInterrupt(), True),
     (OSError("the disk is full"), True)],
    ids=["well", "mistake", "interrupted", "disk full"],
)  # fmt: skip
def test_a_checkpoint_is_left_where_the_same_run_may_come_further(
    end: BaseException | None, is_left: bool, tmp_path: Path
) -> None:
    with (
        suppress(InputError, KeyboardInterrupt, OSError),
        checkpoint_beside(tmp_path / "network", KEY, print) as checkpoint,
    ):
        with suppress(KilledError):
            lenet(KilledAfter(tmp_path / ".network.checkpoint", 1))
        assert checkpoint.epochs == 0
        if end:
            raise end
    assert [path.name for path in tmp_path.iterdir()] == [".network.checkpoint"] * is_left


def test_the_user_is_told_where_the_training_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KilledError):
        lenet(KilledAfter(tmp_path / ".network.checkpoint", 3))
    messages: list[str] = []
    with checkpoint_beside(tmp_path / "network", KEY, messages.append):
        pass
    assert messages == ["resumes after epoch 3"]


def test_another_setting_input_or_thread_count_is_another_run(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"images")
    two.write_bytes(b"other images")
    cpu = torch.device("cpu")
    first = fingerprint({"seed": 0}, cpu, one)
    assert first == fingerprint({"seed": 0}, cpu, one)
    others = [fingerprint({"seed": 1}, cpu, one), fingerprint({"seed": 0}, cpu, two)]
    torch.set_num_threads(2)
    try:
        others.append(fingerprint({"seed": 0}, cpu, one))
    finally:
        torch.set_num_threads(1)
    assert len({first, *others}) == 4
