"""A cell of the study: train on some images, fit all detectors, and score all parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from belong.detectors import mlp_head
from belong.detectors.combination import candidates_of, rule_of
from belong.detectors.fit import fit_detectors, fit_gaussians
from belong.detectors.member_selection import Retraining, select_members
from belong.detectors.score_parts import HELD_OUT, TESTED, score_parts
from belong.models import autoencoder
from belong.models.backbones.backbone import Backbone
from belong.models.feature_extraction import HEAD, extract_parts
from belong.models.network_choice import is_frozen, kind_of
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.parameters import Parameters

TRAIN = "normal/train"
CPU = torch.device("cpu")

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Images:
    """The images of a cell, for training and measurement.

    Attributes:
        pixels: part -> (n, ch, h, w) uint8, the inputs of the autoencoder.
        inputs: part -> the inputs of the network: the pixels, or vectors (n, v) of a backbone.
        labels: part -> (n,) int64, for the training, calibration and test images.
        class_names: the c classes.
    """

    pixels: Arrays
    inputs: Arrays
    labels: Arrays
    class_names: Sequence[str]

    def without(self, classes: Sequence[int] | np.ndarray, images: int) -> "Images":
        """Return a smaller cell without some classes, whose calibration images are `left_out`.

        Args:
            classes: labels of the left-out classes, which the network of the cell does not know.
            images: number of training images of each other class.
        """
        remaining_classes = np.setdiff1d(np.arange(len(self.class_names)), classes)
        train, held_out = self.labels[TRAIN], self.labels[HELD_OUT]
        fitted = [np.flatnonzero(train == label)[:images] for label in remaining_classes]
        of_part = {
            TRAIN: (TRAIN, np.sort(np.concatenate(fitted))),
            HELD_OUT: (HELD_OUT, np.flatnonzero(np.isin(held_out, remaining_classes))),
            TESTED[0]: (
                TESTED[0],
                np.flatnonzero(np.isin(self.labels[TESTED[0]], remaining_classes)),
            ),
            "left_out": (HELD_OUT, np.flatnonzero(~np.isin(held_out, remaining_classes))),
        }
        return Images(
            {part: self.pixels[source][rows] for part, (source, rows) in of_part.items()},
            {part: self.inputs[source][rows] for part, (source, rows) in of_part.items()},
            {
                part: np.searchsorted(remaining_classes, self.labels[part][of_part[part][1]])
                for part in (TRAIN, HELD_OUT, TESTED[0])
            },
            [self.class_names[label] for label in remaining_classes],
        )


def scores_of(
    images: Images, values: Parameters, *, seed: int, backbone: Backbone | None = None
) -> dict[str, np.ndarray]:
    """Train, fit and score; return `PART/DETECTOR` (n,) of all parts except the training images."""

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    def tensors(arrays: Arrays, part: str) -> Tensor:
        return torch.from_numpy(arrays[part])

    names = list(images.class_names)
    training = TrainingOptions(lambda_=values.lambda_, **values.train.model_dump())
    frozen = is_frozen(values.network, values.backbone)
    network, _ = fit_classifier(
        tensors(images.inputs, TRAIN),
        tensors(images.labels, TRAIN),
        (tensors(images.inputs, HELD_OUT), tensors(images.labels, HELD_OUT)),
        network=kind_of(values.network, values.backbone),
        classes=len(names),
        options=training,
        generator=generator(),
        device=CPU,
        backbone=backbone,
    )
    coder, _ = autoencoder.fit(
        tensors(images.pixels, TRAIN), generator=generator(), **values.autoencoder.model_dump()
    )
    parts = ((part, images.inputs[part], pixels) for part, pixels in images.pixels.items())
    features = extract_parts(network, coder, parts, device=CPU)
    features |= {f"{part}/labels": labels for part, labels in images.labels.items()}
    vectors = features[f"{TRAIN}/features"]
    head = {}
    if f"{HEAD}/features" in features:
        fitted, _ = mlp_head.fit(
            torch.from_numpy(vectors),
            torch.from_numpy(features[f"{HEAD}/features"]),
            generator=generator(),
            **values.head.model_dump(),
        )
        head = fitted.arrays()
    last = network.arrays()
    layer = {"weight": last["classifier.weight"], "bias": last["classifier.bias"]}
    gaussians, _ = fit_gaussians(vectors, images.labels[TRAIN], names, options=values.mahalanobis)
    members = select_members(
        features,
        names,
        **layer,
        candidates=candidates_of(values.combined.members, is_frozen=frozen),
        options=values.detectors,
        gaussians=values.mahalanobis,
        seed=seed,
        retraining=Retraining(training, seed) if frozen else None,
    )
    scores, _ = score_parts(
        features,
        names,
        gaussians=gaussians,
        head=head,
        detectors=fit_detectors(
            features,
            names,
            weight=layer["weight"],
            bias=layer["bias"],
            options=values.detectors,
            seed=seed,
        ),
        why_no_head=None if head else mlp_head.NO_ANOMALIES,
        members=members,
        tail=values.combined.tail,
        rule=rule_of(is_frozen=frozen),
        calibration=values.calibration,
    )
    return scores
