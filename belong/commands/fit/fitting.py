"""Fit networks and detectors to the training images, or to all of them except a fold.

`recipe` and `cross_fit` share these functions, and the seed.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from belong.commands.fit import one_class
from belong.detectors import mlp_head
from belong.detectors.covariance import choose
from belong.detectors.fit import fit_detectors, fit_gaussians, training_of, with_covariances
from belong.models import autoencoder as autoencoders
from belong.models.autoencoder import Autoencoder
from belong.models.backbones.backbone import Backbone
from belong.models.base import Network
from belong.models.checkpoint import Checkpoint
from belong.models.network_choice import kind_of
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.parameters import Parameters
from belong.runtime.text import say

TRAIN = "normal/train"

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Fitting:
    """The settings of a fit.

    Attributes:
        values: all parameters.
        class_names: c class names.
        device: for the training.
        backbone: the backbone of the network; None for training from scratch.
        is_quiet: whether to show neither progress nor the choice of covariances.
        only: names of the detectors to fit and to score with; empty: all.
    """

    values: Parameters
    class_names: Sequence[str]
    device: torch.device
    backbone: Backbone | None
    is_quiet: bool = False
    only: Collection[str] = ()

    @property
    def training(self) -> TrainingOptions:
        """The options for the training of the classifier."""
        return TrainingOptions(lambda_=self.values.lambda_, **self.values.train.model_dump())

    def network(
        self,
        inputs: np.ndarray,
        labels: np.ndarray,
        held_out: tuple[np.ndarray, np.ndarray] | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Network:
        """Train the classifier; with one class, return an untrained network.

        Args:
            inputs: (n, ...) images, or embeddings of a frozen backbone.
            labels: (n,) int64, 0..c-1.
            held_out: inputs and labels of held-out images, or None.
            checkpoint: stores the progress of the training.

        Raises:
            InputError: the accuracy on the held-out images is no better than chance.
        """
        if len(self.class_names) == 1:
            return one_class.untrained(
                kind_of(self.values.network, self.values.backbone),
                torch.from_numpy(inputs),
                embedding=self.values.train.embedding,
                backbone=self.backbone,
                generator=self._generator(),
            )
        validation = held_out or (inputs[:1], labels[:1])
        classifier, _ = fit_classifier(
            torch.from_numpy(inputs),
            torch.from_numpy(labels),
            (torch.from_numpy(validation[0]), torch.from_numpy(validation[1])),
            network=kind_of(self.values.network, self.values.backbone),
            classes=len(self.class_names),
            options=self.training,
            generator=self._generator(),
            device=self.device,
            backbone=self.backbone,
            checkpoint=checkpoint,
            refuses_chance=held_out is not None,
            description=self._description("train"),
        )
        return classifier

    def autoencoder(self, images: np.ndarray, checkpoint: Checkpoint | None = None) -> Autoencoder:
        """Train the autoencoder on images (n, ch, h, w) uint8."""
        model, _ = autoencoders.fit(
            torch.from_numpy(images).to(self.device),
            generator=self._generator(),
            checkpoint=checkpoint,
            description=self._description("train autoencoder"),
            **self.values.autoencoder.model_dump(),
        )
        return model

    def head(
        self, normal: np.ndarray, anomalies: np.ndarray, checkpoint: Checkpoint | None = None
    ) -> Arrays:
        """Train the supervised head on features (n, d) and (m, d); return its arrays."""
        classifier, _ = mlp_head.fit(
            torch.from_numpy(normal).to(self.device),
            torch.from_numpy(anomalies).to(self.device),
            generator=self._generator(),
            checkpoint=checkpoint,
            description=self._description("train head"),
            **self.values.head.model_dump(),
        )
        return classifier.arrays()

    def detectors(
        self, features: Mapping[str, np.ndarray], network: Mapping[str, np.ndarray]
    ) -> tuple[Arrays, Arrays]:
        """Fit the Gaussians and all detectors that need normal images only.

        Args:
            features: `normal/train/VIEW`, and `normal/train/labels`.
            network: the arrays of the classifier.
        """
        names, tell = list(self.class_names), None if self.is_quiet else say
        gaussians, _ = fit_gaussians(
            features[f"{TRAIN}/features"],
            features[f"{TRAIN}/labels"],
            names,
            options=self.values.mahalanobis,
            tell=tell,
        )
        detectors = fit_detectors(
            features,
            names,
            **last_layer(network),
            options=self.values.detectors,
            seed=self.values.seed,
            tell=tell,
            only=self.only,
        )
        return gaussians, detectors

    def like(
        self, features: Mapping[str, np.ndarray], network: Mapping[str, np.ndarray]
    ) -> "Fitting":
        """Return quiet settings for the folds, with the covariances chosen for all training images.

        The arguments are those of `detectors`.
        """
        training = training_of(features, list(self.class_names), **last_layer(network))
        d = training.views.features.shape[1]
        kind, _ = choose(self.values.mahalanobis.covariance, training.least_of_a_class, d)
        update: dict[str, Any] = {
            "mahalanobis": self.values.mahalanobis.model_copy(update={"covariance": kind}),
            "detectors": with_covariances(self.values.detectors, training),
        }
        return replace(self, values=self.values.model_copy(update=update), is_quiet=True)

    def _generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(self.values.seed)

    def _description(self, text: str) -> str | None:
        return None if self.is_quiet else text


def last_layer(network: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return weight (c, d) and bias (c,) of the last layer of a classifier."""
    return {"weight": network["classifier.weight"], "bias": network["classifier.bias"]}
