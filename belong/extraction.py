"""Pass images through a trained network."""

import torch
from torch import Tensor

from belong.lenet import LeNet


@torch.no_grad()
def extract(network: LeNet, images: Tensor, *, batch_size: int = 256) -> tuple[Tensor, Tensor]:
    """Return features (n, d) and logits (n, c) of the images (n, ch, h, w) uint8."""
    network.eval()
    results = [network(batch) for batch in images.split(batch_size)]
    features, logits = zip(*results, strict=True)
    return torch.cat(features), torch.cat(logits)


def accuracy(network: LeNet, images: Tensor, labels: Tensor) -> float:
    """Return the share of images (n, ch, h, w) whose largest logit is their label (n,)."""
    _, logits = extract(network, images)
    return (logits.argmax(dim=1) == labels).float().mean().item()
