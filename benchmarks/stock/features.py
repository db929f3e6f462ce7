"""Pass MNIST through both networks, with torchvision's data set and a DataLoader."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.stock.network import Autoencoder, LeNet
from benchmarks.stock.train import MEAN, STD, loader


@torch.no_grad()
def views_of(
    network: LeNet, autoencoder: Autoencoder, images: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return features, logits, hidden layer, maps, codes and errors of standardized images."""
    maps, hidden, features = network.layers(images)
    codes, errors = autoencoder(images * STD + MEAN)
    return features, network.classifier(features), hidden, maps, codes, errors


def extract(
    network: LeNet, autoencoder: Autoencoder, root: Path, *, train: bool
) -> list[np.ndarray]:
    """Return the views of all training or test images, in the order of the files."""
    network.eval()
    batches = loader(root, train=train, batch_size=256, shuffle=False)
    views = [views_of(network, autoencoder, images) for images, _ in batches]
    return [torch.cat(view).numpy() for view in zip(*views, strict=True)]
