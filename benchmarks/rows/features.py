"""Compute the views of every image with both networks."""

import numpy as np
import torch

from belong.models.autoencoder import Autoencoder
from belong.models.feature_extraction import extract
from belong.models.lenet import LeNet
from benchmarks import digits, matrix_rate
from benchmarks.agreement import relative
from benchmarks.contract import Peer, Race, Setting
from benchmarks.rows.training import forward_flop_per_image
from benchmarks.stock import features as stock
from benchmarks.stock.network import Autoencoder as StockAutoencoder
from benchmarks.stock.network import LeNet as StockLeNet
from benchmarks.stock.train import MEAN, STD

UNITS = 50


def of_digits(setting: Setting) -> Race:
    """All views of the training images, by networks with the same weights."""
    data = digits.read(setting)
    images = torch.from_numpy(data.images[~data.is_test])
    root = digits.for_torchvision(setting)
    torch_network, torch_autoencoder = _with_weights(StockLeNet(), StockAutoencoder(UNITS))
    network = LeNet.for_images(images, classes=10)
    network.load_state_dict(
        torch_network.state_dict() | {"mean": torch.tensor([MEAN]), "std": torch.tensor([STD])}
    )
    autoencoder = Autoencoder(784, UNITS)
    autoencoder.load_state_dict(torch_autoencoder.state_dict())

    def ours(_: int) -> np.ndarray:
        device = torch.device("cpu")
        return extract(network, autoencoder, images, images, device=device).features.numpy()

    def theirs(_: int) -> np.ndarray:
        return stock.extract(torch_network, torch_autoencoder, root, train=True)[0]

    n = len(images)
    flop = n * (forward_flop_per_image() + 2 * 2 * 784 * UNITS)
    return Race(
        what=f"features of {n:,} images of 28 px: LeNet and the autoencoder",
        ours=ours,
        peers={"torchvision and DataLoader": Peer(theirs, relative(1e-4))},
        limit=matrix_rate.limit(flop),
    )


def _with_weights(
    network: StockLeNet, autoencoder: StockAutoencoder
) -> tuple[StockLeNet, StockAutoencoder]:
    """Draw the weights from a generator, so that a process of its own has the same."""
    generator = torch.Generator().manual_seed(0)
    for weights in (*network.parameters(), *autoencoder.parameters()):
        torch.nn.init.normal_(weights, std=0.1, generator=generator)
    return network, autoencoder
