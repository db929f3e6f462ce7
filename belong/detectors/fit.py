"""Fit all detectors except the supervised head to normal training images."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
import torch

from belong.detectors import mahalanobis
from belong.detectors.base import Training
from belong.detectors.covariance import IN_WORDS, choose
from belong.detectors.mahalanobis import OneLayer
from belong.detectors.registry import DETECTORS, stored_in
from belong.models.activations import Views
from belong.parameters import DetectorsSection, MahalanobisSection
from belong.runtime.progress import bar
from belong.runtime.text import say

PART = "normal/train"

Arrays = dict[str, np.ndarray]


def fit_gaussians(
    features: np.ndarray,
    labels: np.ndarray,
    class_names: list[str],
    *,
    options: MahalanobisSection,
    tell: Callable[[str], None] | None = say,
) -> tuple[Arrays, dict[str, str]]:
    """Fit one Gaussian per class; return the arrays, and the kind of covariance.

    Args:
        features: (n, d) float32 of the training images.
        labels: (n,) int64, 0..c-1.
        class_names: the c names, for messages.
        options: the section `mahalanobis` of params.yaml.
        tell: is called with the kind of covariance and the reason; None: no message.

    Returns:
        `means` (c, d), `whitening` (c, d, k), or (1, d, k) if all classes share it, and
        `thresholds` (c,); and a dict with the kind of `covariance` and the reason `why`.
    """
    vectors, classes = torch.from_numpy(features), torch.from_numpy(labels)
    fitted = mahalanobis.fit(vectors, classes, class_names, **options.model_dump())
    kind, why = choose(options.covariance, int(torch.bincount(classes).min()), vectors.shape[1])
    if tell:
        tell(f"mahalanobis: {IN_WORDS[kind]} ({why})")
    return fitted.arrays(), {"covariance": kind, "why": why}


def fit_detectors(
    views: Mapping[str, np.ndarray],
    class_names: list[str],
    *,
    weight: np.ndarray,
    bias: np.ndarray,
    options: DetectorsSection,
    seed: int,
    tell: Callable[[str], None] | None = say,
    only: Collection[str] = (),
) -> Arrays:
    """Fit all detectors that need only normal training images; return `DETECTOR/ARRAY` -> array.

    Args:
        views: `normal/train/VIEW` of the training images, and `normal/train/labels`.
        class_names: the c names, for messages.
        weight: (c, d) and
        bias: (c,) of the classifier's last layer.
        options: a section for each detector with parameters.
        seed: random seed of the samples of the isolation forest.
        tell: is called with the kinds of covariance and the reasons; None: no message and no
            progress bar.
        only: names of the detectors to fit; empty: all.
    """
    training, sections = training_of(views, class_names, weight, bias), sections_of(options, seed)
    arrays: Arrays = {}
    names = [name for name in stored_in("detectors") if not only or name in only]
    with bar(len(names), "fit detectors" if tell else None, "detector") as progress:
        for name in names:
            kind = DETECTORS[name]
            if tell and issubclass(kind, OneLayer):
                n, d = training.least_of_a_class, getattr(training.views, kind.layer).shape[1]
                covariance, why = choose(sections[name]["covariance"], n, d)
                tell(f"{name}: {IN_WORDS[covariance]} ({why})")
            fitted = kind.fit(training, **sections.get(name, {}))
            arrays |= {f"{name}/{key}": array for key, array in fitted.arrays().items()}
            progress.update()
    return arrays


def with_covariances(options: DetectorsSection, training: Training) -> DetectorsSection:
    """Return the sections with the covariances that `auto` chooses for these training images.

    A detector that is fitted to nine tenths of the images then has the same kind of covariance.
    """
    updates = {}
    for name in stored_in("detectors"):
        kind = DETECTORS[name]
        if issubclass(kind, OneLayer):
            section: MahalanobisSection = getattr(options, name)
            d = getattr(training.views, kind.layer).shape[1]
            covariance, _ = choose(section.covariance, training.least_of_a_class, d)
            updates[name] = section.model_copy(update={"covariance": covariance})
    return options.model_copy(update=updates)


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
