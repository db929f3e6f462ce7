"""Estimate the time of a fit from short measurements on this machine.

The decoding of a few files and a training step of each network are timed. The other work
(autoencoder, detectors, evaluation, report) is expressed in steps of the small network, as measured
in a run of the pipeline. A busy machine slows all parts alike.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from belong.calibration.cross_conformal import FOLDS
from belong.commands.fit.plan import LEAST_PX, Plan
from belong.data.dataset import DataSet
from belong.data.decode_pool import Decoder, timed
from belong.data.image_folder import ImageFiles
from belong.data.image_form import rgb_of
from belong.data.isolation import each_item
from belong.data.resize import Form
from belong.data.synthetic_anomalies import DERIVED
from belong.models import device as devices
from belong.models.backbones.backbone import Backbone
from belong.models.base import Network
from belong.models.inference import batch_for
from belong.models.network_choice import is_frozen, kind_of
from belong.models.registry import build
from belong.parameters import ImagesSection, Parameters

PHOTOS = 16  # images in a timed training step of a backbone
DECODED = 12  # timed files
TIMED_SECONDS = 0.2  # minimum time of each measurement
# Everything except decoding, embedding and training took 53 s for the 80,000 images of MNIST, of
# which 14 s do not depend on the number of images. A pass of the small network takes 96 us for a
# training image of 28 px.
PASSES_OF_ALL, PASSES_OF_EACH = 150_000, 5
PASSES_OF_FOLD = 7_000  # to fit all detectors without a fold, and to score it
# Range of the estimate: the load of a shared machine changes within minutes.
LOW, HIGH = 0.5, 2.0


@dataclass(frozen=True)
class Pace:
    """Seconds per image on this machine.

    Attributes:
        decoding: decoding of a file, with all processors.
        embedding: pass through a frozen backbone; 0 without one.
        training: one epoch of training.
        small: one epoch of training of the small network on digits.
    """

    decoding: float
    embedding: float
    training: float
    small: float

    def of(self, plan: Plan, *, files: int, images: int) -> float:
        """Return the seconds of a plan with `files` to decode, and `images` with derived ones."""
        folds = FOLDS if plan.calibration == "cross" else 0
        return (
            files * self.decoding
            + images * self.embedding
            + (1 + folds) * plan.epochs * plan.train_images * self.training
            + (PASSES_OF_ALL + folds * PASSES_OF_FOLD + PASSES_OF_EACH * images) * self.small
        )


def in_words(seconds: float) -> str:
    """Format an estimate with its range."""
    low, high = (_plainly(share * seconds) for share in (LOW, HIGH))
    return f"about {_plainly(seconds)} ({low} to {high})"


def estimate(
    images: DataSet | ImageFiles, plan: Plan, values: Parameters, backbone: Backbone | None
) -> float:
    """Return the estimated seconds of a fit.

    Args:
        images: the normal images; anomalies are not counted.
        plan: the plan.
        values: all parameters, including those of the plan.
        backbone: the backbone, or None.
    """
    pace = pace_of(
        images,
        network=kind_of(values.network, values.backbone),
        side_px=plan.side_px,
        batch_size=plan.batch_size,
        values=values,
        backbone=backbone,
        is_frozen=is_frozen(values.network, values.backbone),
    )
    n = len(images.labels)
    tested = n - round(plan.train_images / (1 - plan.calibration_fraction))
    if plan.calibration == "cross":
        tested = n - plan.train_images or n  # without an official test part, all images are tested
    images_of_all = n + len(DERIVED) * min(values.derive.images, tested)
    return pace.of(plan, files=n, images=images_of_all)


def pace_of(
    image_set: DataSet | ImageFiles,
    *,
    network: str,
    side_px: int,
    batch_size: int,
    values: Parameters,
    backbone: Backbone | None,
    is_frozen: bool,
) -> Pace:
    """Measure the time of each type of work on this machine.

    Args:
        image_set: the images, some of which are decoded.
        network: name in `belong.models.registry.NETWORKS`.
        side_px: side of the square to which every image is resized.
        batch_size: images per training step.
        values: the parameters: device, threads, options of the decoding.
        backbone: the backbone of the network, or None.
        is_frozen: whether the backbone only embeds the images.
    """
    devices.compute_repeatably(values.threads, values.math)
    device = devices.choose(values.device)
    classes = len(image_set.class_names)
    decoding, channels = _decoding(image_set, side_px, values.images)
    pixels, embedding = _noise(batch_size, channels, side_px), 0.0
    inputs = pixels if backbone is None else pixels[:PHOTOS]
    if backbone is not None and is_frozen:
        folded, images = backbone.folded().to(device), pixels[: batch_for(device)].to(device)
        backbone.check_size(images)
        # One batch per processor runs in parallel.
        jobs = (os.cpu_count() or 1) if device.type == "cpu" else 1
        embedding = _seconds(lambda: folded.vectors(images)) / len(images) / jobs
        inputs = torch.rand(batch_size, sum(backbone.card.sizes))
    classifier = build(
        network, inputs, classes=classes, embedding=values.train.embedding, backbone=backbone
    )
    digits = _noise(128, 1, LEAST_PX)
    small = build("lenet", digits, classes=classes, embedding=0)
    return Pace(
        decoding=decoding / (os.cpu_count() or 1),
        embedding=embedding,
        training=_seconds(_step(classifier, inputs, device)) / len(inputs),
        small=_seconds(_step(small, digits, device)) / len(digits),
    )


def _decoding(
    images: DataSet | ImageFiles, side_px: int, options: ImagesSection
) -> tuple[float, int]:
    """Return the seconds per file, and the channels of the images."""
    if isinstance(images, DataSet):
        return 0.0, images.images.shape[1]
    step = max(1, len(images.files) // DECODED)
    form = Form(side_px, side_px, "auto")
    decoder = Decoder(form, rgb_of(options.background), options.max_pixels)
    paths = images.paths[::step][:DECODED]
    answers = [
        answer
        for answer in each_item(partial(timed, decoder), paths, jobs=1, count=len(paths))
        if not isinstance(answer, str)
    ]
    seconds = sum(seconds for seconds, _ in answers)
    pixels = [answer.pixels for _, answer in answers if not isinstance(answer, str)]
    channels = 3 if any(np.ptp(one, axis=0).max() for one in pixels) else 1
    return seconds / max(1, len(answers)), channels


def _noise(n: int, channels: int, side_px: int) -> Tensor:
    """Return random pixels (n, ch, h, w)."""
    return torch.randint(
        0, 256, (n, channels, side_px, side_px), dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


def _step(network: Network, inputs: Tensor, device: torch.device) -> Callable[[], object]:
    """Return a function that computes a training step: forward and backward pass."""
    network.to(device).train()
    batch = inputs.to(device)
    truth = torch.zeros(len(batch), dtype=torch.int64, device=device)

    def step() -> float:
        _, logits = network(batch)
        loss = nn.functional.cross_entropy(logits, truth)
        loss.backward()
        return loss.item()  # waits for a GPU

    return step


def _seconds(work: Callable[[], object]) -> float:
    """Return the median seconds of a call, after a call to warm up."""
    work()
    seconds: list[float] = []
    while sum(seconds) < TIMED_SECONDS:
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def _plainly(seconds: float) -> str:
    """Return "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
