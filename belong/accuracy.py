"""How well a network classifies."""

import torch
from torch import Tensor

from belong.networks.contract import Network


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
