"""Train LeNet on MNIST with torchvision's data set, its transforms and a DataLoader."""

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from benchmarks.stock.network import LeNet

BATCH_SIZE, LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 128, 0.05, 0.9, 0.0005
MEAN, STD = 0.1307, 0.3081  # of MNIST's pixels
WORKERS = 2


def loader(
    root: Path, *, train: bool, batch_size: int, shuffle: bool
) -> DataLoader[tuple[torch.Tensor, int]]:
    """Return the batches of the training or the test images."""
    images = dataset(root, train=train)
    return DataLoader(images, batch_size=batch_size, shuffle=shuffle, num_workers=WORKERS)


def dataset(root: Path, *, train: bool) -> datasets.MNIST:
    """Return the images, standardized when they are taken, and their labels."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    return datasets.MNIST(str(root), train=train, transform=transform)


def train(root: Path, *, epochs: int, seed: int) -> LeNet:
    """Return the trained network."""
    torch.manual_seed(seed)
    batches = loader(root, train=True, batch_size=BATCH_SIZE, shuffle=True)
    network = LeNet()
    network.train()
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=LEARNING_RATE,
        momentum=MOMENTUM,
        weight_decay=WEIGHT_DECAY,
        nesterov=True,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=LEARNING_RATE,
        total_steps=epochs * len(batches),
        pct_start=0.2,
        cycle_momentum=False,
    )
    for _ in range(epochs):
        for images, labels in batches:
            optimizer.zero_grad()
            _, logits = network(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            schedule.step()
    return network


@torch.no_grad()
def accuracy(network: nn.Module, root: Path) -> float:
    """Return the share of test images that are classified correctly."""
    network.eval()
    right = total = 0
    for images, labels in loader(root, train=False, batch_size=256, shuffle=False):
        _, logits = network(images)
        right += int((logits.argmax(dim=1) == labels).sum())
        total += len(labels)
    return right / total
