"""Fit everything above the images: to all that train, or to all but a fold of them.

What `recipe` fits and what `cross_fit` fits is fitted by these functions, from the same seed.
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
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.parameters import Parameters
from belong.runtime.text import say

TRAIN = "normal/train"

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Fitting:
    """How networks and detectors are fitted.

    Attributes:
        values: all parameters.
        class_names: c.
        device: to train on.
        backbone: that the network stands on; None from scratch.
        is_quiet: whether no progress is shown, and no covariance told.
        only: the names of the detectors that are fitted and score; none: all.
    """

    values: Parameters
    class_names: Sequence[str]
    device: torch.device
    backbone: Backbone | None
    is_quiet: bool = False
    only: Collection[str] = ()

    @property
    def training(self) -> TrainingOptions:
        """How the classifier is trained."""
        return TrainingOptions(lambda_=self.values.lambda_, **self.values.train.model_dump())

    def network(
        self,
        inputs: np.ndarray,
        labels: np.ndarray,
        held_out: tuple[np.ndarray, np.ndarray] | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Network:
        """Train the classifier; one that is at chance on the inputs held out, if any, is refused.

        Of one class, nothing is trained.

        Inputs (n, ...) are images, or vectors of a frozen backbone; labels (n,) 0..c-1.
        """
        if len(self.class_names) == 1:
            return one_class.untrained(
                self.values.network_kind,
                torch.from_numpy(inputs),
                embedding=self.values.train.embedding,
                backbone=self.backbone,
                generator=self._generator(),
            )
        measured = held_out or (inputs[:1], labels[:1])
        trained, _ = fit_classifier(
            torch.from_numpy(inputs),
            torch.from_numpy(labels),
            (torch.from_numpy(measured[0]), torch.from_numpy(measured[1])),
            network=self.values.network_kind,
            classes=len(self.class_names),
            options=self.training,
            generator=self._generator(),
            device=self.device,
            backbone=self.backbone,
            checkpoint=checkpoint,
            refuses_chance=held_out is not None,
            description=self._described("train"),
        )
        return trained

    def autoencoder(self, images: np.ndarray, checkpoint: Checkpoint | None = None) -> Autoencoder:
        """Train the autoencoder on images (n, ch, h, w) uint8."""
        trained, _ = autoencoders.fit(
            torch.from_numpy(images).to(self.device),
            generator=self._generator(),
            checkpoint=checkpoint,
            description=self._described("train autoencoder"),
            **self.values.autoencoder.model_dump(),
        )
        return trained

    def head(
        self, normal: np.ndarray, anomalies: np.ndarray, checkpoint: Checkpoint | None = None
    ) -> Arrays:
        """Train the supervised head on features (n, d) and (m, d); return its arrays."""
        trained, _ = mlp_head.fit(
            torch.from_numpy(normal).to(self.device),
            torch.from_numpy(anomalies).to(self.device),
            generator=self._generator(),
            checkpoint=checkpoint,
            description=self._described("train head"),
            **self.values.head.model_dump(),
        )
        return trained.arrays()

    def detectors(
        self, features: Mapping[str, np.ndarray], network: Mapping[str, np.ndarray]
    ) -> tuple[Arrays, Arrays]:
        """Fit the Gaussians and all detectors that learn from normal images alone.

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
        """Return a quiet one for the folds of these training images, the choices of which it keeps.

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

    def _described(self, what: str) -> str | None:
        return None if self.is_quiet else what


def last_layer(network: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return weight (c, d) and bias (c,) of the last layer of a classifier."""
    return {"weight": network["classifier.weight"], "bias": network["classifier.bias"]}
