"""Train LeNet on MNIST for one epoch."""

import torch

from belong.models.train_classifier import TrainingOptions, fit_classifier
from benchmarks import digits, matrix_rate
from benchmarks.agreement import mean_of_seeds
from benchmarks.contract import Peer, Race, Setting
from benchmarks.stock import train as stock


def epoch(setting: Setting) -> Race:
    """Train for one epoch, and measure the accuracy; each round has a seed of its own.

    Our weight of the center loss is 0, for the stock script has none; we compute it all the same.
    """
    data = digits.read(setting)
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)
    is_test = torch.from_numpy(data.is_test)
    train = images[~is_test], labels[~is_test]
    held_out = images[is_test], labels[is_test]
    root = digits.for_torchvision(setting)
    options = TrainingOptions(
        lambda_=0.0,
        epochs=1,
        batch_size=stock.BATCH_SIZE,
        learning_rate=stock.LEARNING_RATE,
        momentum=stock.MOMENTUM,
        weight_decay=stock.WEIGHT_DECAY,
        center_rate=0.5,
        shift_px=0,
        flip=False,
        embedding=2,
    )

    def ours(number: int) -> float:
        _, (row,) = fit_classifier(
            *train,
            held_out,
            network="lenet",
            classes=10,
            options=options,
            generator=torch.Generator().manual_seed(number),
            device=torch.device("cpu"),
        )
        return row["calibration_accuracy"]

    def theirs(number: int) -> float:
        return stock.accuracy(stock.train(root, epochs=1, seed=number), root)

    n = len(train[0])
    check = mean_of_seeds(0.3 if setting.quick else 0.005)  # few images: noise
    return Race(
        what=f"one epoch of LeNet, {n:,} images of 28 px, and its accuracy",
        ours=ours,
        peers={"stock script": Peer(theirs, check, bar=0.35)},
        limit=matrix_rate.limit(n * epoch_flop_per_image(), bar=0.40),
    )


def forward_flop_per_image() -> int:
    """Return the floating-point operations of all layers: two for each weight that is used."""
    conv1, conv2 = 28 * 28 * 6 * 5 * 5, 10 * 10 * 16 * 6 * 5 * 5
    dense = 400 * 120 + 120 * 84 + 84 * 10
    return 2 * (conv1 + conv2 + dense)


def epoch_flop_per_image() -> int:
    """Return those of a step: forward, and backward to the weights and to the inputs.

    The gradient with respect to the pixels is not computed.
    """
    return 3 * forward_flop_per_image() - 2 * 28 * 28 * 6 * 5 * 5
