"""Define both networks in plain torch, with our names and shapes, so that weights fit both."""

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor, nn


class LeNet(nn.Module):
    """Standardized images (n, 1, 28, 28) -> features (n, 84), logits (n, 10)."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.hidden1 = nn.Linear(400, 120)
        self.hidden2 = nn.Linear(120, 84)
        self.classifier = nn.Linear(84, classes)

    def layers(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the first maps (n, 294), averaged to 7 x 7, the hidden layer and the features."""
        maps = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(maps)), 2)
        hidden = F.relu(self.hidden1(torch.flatten(x, 1)))
        features = F.relu(self.hidden2(hidden))
        return F.adaptive_avg_pool2d(maps, 7).flatten(1), hidden, features

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return features and logits."""
        *_, features = self.layers(x)
        return features, self.classifier(features)


class Autoencoder(nn.Module):
    """Images (n, 1, 28, 28) in 0..1 -> codes (n, units), squared error per pixel (n,)."""

    def __init__(self, units: int = 50) -> None:
        super().__init__()
        self.encoder = nn.Linear(784, units)
        self.decoder = nn.Linear(units, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return codes and errors."""
        x = torch.flatten(x, 1)
        codes = torch.sigmoid(self.encoder(x))
        return codes, (torch.sigmoid(self.decoder(codes)) - x).square().mean(dim=1)
