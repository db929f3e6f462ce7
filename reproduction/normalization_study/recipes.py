"""Training recipes of LeNet: their differences from the default, and the networks they need."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from belong.commands.fit.settings import parameters
from belong.models.base import Network
from belong.models.lenet import LeNet
from belong.models.train_classifier import TrainingOptions


class WithoutRelu(LeNet):
    """LeNet whose features are the 84 values before their ReLU."""

    def _activated(self, features: Tensor) -> Tensor:
        return features


@dataclass(frozen=True)
class Recipe:
    """How LeNet is trained.

    Attributes:
        name: of its row in the tables.
        lambda_: weight of the center loss.
        train: keys of the section `train` of params.yaml that differ from its defaults.
        optimizer: see `TrainingOptions`.
        relu: whether the features are those after the ReLU.
        width: number of features, 84 in LeNet.
    """

    name: str
    lambda_: float = 1.0
    train: Mapping[str, object] = field(default_factory=dict)
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    relu: bool = True
    width: int = 84

    @property
    def options(self) -> TrainingOptions:
        """Return the defaults of params.yaml, changed by the recipe."""
        values = parameters({f"train.{key}": value for key, value in self.train.items()})
        return TrainingOptions(
            lambda_=self.lambda_, optimizer=self.optimizer, **values.train.model_dump()
        )

    def network(self, images: Tensor, classes: int, generator: torch.Generator) -> Network:
        """Return a LeNet for images (n, ch, h, w) uint8, its weights drawn."""
        kind = LeNet if self.relu else WithoutRelu
        classifier = kind.for_images(images, classes=classes)
        if self.width != classifier.hidden2.out_features:
            classifier.hidden2 = nn.Linear(classifier.hidden2.in_features, self.width)
            classifier.classifier = nn.Linear(self.width, classes)
        classifier.initialize(images, generator)
        return classifier


_ADAM: Mapping[str, object] = {"learning_rate": 0.001, "weight_decay": 0.0}
_ADAMW: Mapping[str, object] = {"learning_rate": 0.001, "weight_decay": 0.01}
_SHIFTED: Mapping[str, object] = {"shift_px": 2}

DEFAULT = Recipe("default")
# What is tried: one change of the default at a time, then those that find the left-out digits
# better together.
TRIED = (
    DEFAULT,
    Recipe("lambda 0.1", 0.1),
    Recipe("shift 2", 1, _SHIFTED),
    Recipe("adam", 1, _ADAM, "adam"),
    Recipe("no relu", 1, relu=False),
    Recipe("decay 0.005", 1, {"weight_decay": 0.005}),
    Recipe("decay 0.005, lambda 0.1", 0.1, {"weight_decay": 0.005}),
    Recipe("20 epochs", 1, {"epochs": 20}),
    Recipe("shift 2, lambda 0.1", 0.1, _SHIFTED),
    Recipe("adam, lambda 0.1", 0.1, _ADAM, "adam"),
    Recipe("256 features", 1, width=256),
    Recipe("decay 0.01", 1, {"weight_decay": 0.01}),
    Recipe("decay 0.002, lambda 0.1", 0.1, {"weight_decay": 0.002}),
    Recipe("lambda 3", 3),
    Recipe("no decay", 1, {"weight_decay": 0.0}),
    Recipe("3 epochs", 1, {"epochs": 3}),
    Recipe("batch 32", 1, {"batch_size": 32, "learning_rate": 0.02}),
    Recipe("20 epochs, lambda 0.1", 0.1, {"epochs": 20}),
    Recipe("20 epochs, decay 0.005", 1, {"epochs": 20, "weight_decay": 0.005}),
    Recipe("20 epochs, lambda 0.1, 256 features", 0.1, {"epochs": 20}, width=256),
    Recipe(
        "20 epochs, decay 0.005, 256 features",
        1,
        {"epochs": 20, "weight_decay": 0.005},
        width=256,
    ),
    Recipe("40 epochs, decay 0.005", 1, {"epochs": 40, "weight_decay": 0.005}),
    Recipe("lambda 0", 0),
    Recipe("adamw", 1, _ADAMW, "adamw"),
    Recipe("16 features", 1, width=16),
    Recipe("batch 512", 1, {"batch_size": 512}),
    Recipe("lambda 0.01", 0.01),
)

# What is trained on all images, beside the default: what the trials chose, see `recipe_text`.
CONFIRMED = (Recipe("20 epochs, decay 0.005", 1, {"epochs": 20, "weight_decay": 0.005}),)
