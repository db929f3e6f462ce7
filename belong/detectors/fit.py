"""Fit all detectors except the supervised head to normal training images."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from belong.detectors import mahalanobis
from belong.detectors.base import Training
from belong.detectors.covariance import choose
from belong.detectors.mahalanobis import OneLayer
from belong.detectors.registry import DETECTORS, stored_in
from belong.models.activations import Views
from belong.parameters import DetectorsSection, MahalanobisSection
from belong.runtime.progress import bar
from belong.runtime.text import say

PART = "normal/train"

Arrays = dict[str, np.ndarray]


def fit_gaussians(
    features: np.ndarray, labels: np.ndarray, class_names: list[str], *, options: MahalanobisSection
) -> tuple[Arrays, dict[str, str]]:
    """Fit one Gaussian per class; return the tensors and the kind of covariance.

    Features (n, d) float32 and labels (n,), 0..c-1, of the training images -> `means` (c, d),
    `whitening` (c, d, k), `thresholds` (c,); and which `covariance` was fitted, and `why`.
    """
    vectors, classes = torch.from_numpy(features), torch.from_numpy(labels)
    fitted = mahalanobis.fit(vectors, classes, class_names, **options.model_dump())
    kind, why = choose(options.covariance, int(torch.bincount(classes).min()), vectors.shape[1])
    say(f"covariance {kind}: {why}")
    return fitted.arrays(), {"covariance": kind, "why": why}


def fit_detectors(
    views: Mapping[str, np.ndarray],
    class_names: list[str],
    *,
    weight: np.ndarray,
    bias: np.ndarray,
    options: DetectorsSection,
    seed: int,
) -> Arrays:
    """Fit all detectors that learn only from normal training images; return `DETECTOR/ARRAY`.

    Args:
        views: `normal/train/VIEW` of the training images, and `normal/train/labels`.
        class_names: the c names, for messages.
        weight: (c, d) and
        bias: (c,) of the classifier's last layer.
        options: a section for each detector with parameters.
        seed: draws the samples of the isolation forest.
    """
    training, sections = training_of(views, class_names, weight, bias), sections_of(options, seed)
    arrays: Arrays = {}
    names = stored_in("detectors")
    with bar(len(names), "fit detectors", "detector") as progress:
        for name in names:
            kind = DETECTORS[name]
            if issubclass(kind, OneLayer):
                n, d = training.least_of_a_class, getattr(training.views, kind.layer).shape[1]
                chosen, why = choose(sections[name]["covariance"], n, d)
                say(f"{name}: covariance {chosen}: {why}")
            fitted = kind.fit(training, **sections.get(name, {}))
            arrays |= {f"{name}/{key}": array for key, array in fitted.arrays().items()}
            progress.update()
    return arrays


def training_of(
    views: Mapping[str, np.ndarray], class_names: list[str], weight: np.ndarray, bias: np.ndarray
) -> Training:
    """Return the training sample; the arguments are those of `fit_detectors`."""
    return Training(
        views=Views.from_arrays(views, PART),
        labels=torch.from_numpy(views[f"{PART}/labels"]),
        class_names=class_names,
        weight=torch.from_numpy(weight),
        bias=torch.from_numpy(bias),
    )


def sections_of(options: DetectorsSection, seed: int) -> dict[str, dict[str, Any]]:
    """Return for each detector the keywords of its `fit`."""
    sections: dict[str, dict[str, Any]] = options.model_dump()
    sections["code_iforest"]["seed"] = seed
    return sections
