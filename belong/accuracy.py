"""How well a network classifies."""

import torch
from torch import Tensor

from belong.lenet import LeNet


@torch.no_grad()
def accuracy(network: LeNet, images: Tensor, labels: Tensor, *, batch_size: int = 256) -> float:
    """Return the share of images (n, ch, h, w) whose largest logit is their label (n,)."""
    network.eval()
    hits = [
        (network(some)[1].argmax(dim=1) == truth).sum()
        for some, truth in zip(images.split(batch_size), labels.split(batch_size), strict=True)
    ]
    return torch.stack(hits).sum().item() / len(labels)
