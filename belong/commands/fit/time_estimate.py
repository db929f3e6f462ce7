"""How long a fit will take: some of its work is timed on this machine, all of it is counted.

What is timed is the work itself: some files are decoded, and a step of each network that takes part
is made. The rest (autoencoder, detectors, measuring, the page) is counted in steps of the small
network, as they were on the pipeline's own run. A machine that others use too slows all alike.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from belong.commands.fit.plan import LEAST_PX, Plan
from belong.data.dataset import DataSet
from belong.data.image_folder import ImageFiles
from belong.data.image_reader import Rgb, UnreadableError, read_image
from belong.data.resize import Form, formed
from belong.data.synthetic_anomalies import DERIVED
from belong.models.base import Network
from belong.models.efficientnet import BATCH, SIZES, Backbone
from belong.models.frozen_backbone import FrozenEfficientNetB0
from belong.models.lenet import LeNet
from belong.models.registry import NETWORKS

DECODED = 12  # files, and
TIMED_SECONDS = 0.2  # as long as this at least, each kind of work
# All but decoding, embedding and training took 53 s for MNIST's 80,000 images, of which 14 s stay
# the same for few of them; a training image of 28 px takes 96 us for a pass of the small network.
PASSES_OF_ALL, PASSES_OF_EACH = 150_000, 5
# What others do on the machine changes within minutes.
LOW, HIGH = 0.5, 2.0


@dataclass(frozen=True)
class Pace:
    """Seconds of this machine.

    Attributes:
        decoding: of a file, all processors at work.
        embedding: of an image in a frozen backbone; 0 without one.
        training: of an image in one pass of the training.
        small: the same of the small network on digits.
    """

    decoding: float
    embedding: float
    training: float
    small: float

    def of(self, made: Plan, *, files: int, images: int) -> float:
        """Return the seconds of a plan.

        Args:
            made: the plan.
            files: to decode.
            images: these and what is derived of them.
        """
        return (
            files * self.decoding
            + images * self.embedding
            + made.epochs * made.train_images * self.training
            + (PASSES_OF_ALL + PASSES_OF_EACH * images) * self.small
        )


@dataclass(frozen=True)
class Estimate:
    """Seconds from the start to the model, and between which they are likely to lie."""

    seconds: float
    low: float
    high: float

    def __str__(self) -> str:
        """For people."""
        return f"about {_plainly(self.seconds)} ({_plainly(self.low)} to {_plainly(self.high)})"


def estimate(
    found: DataSet | ImageFiles,
    made: Plan,
    *,
    is_frozen: bool,
    embedding: int,
    derived_images: int,
    background: Rgb,
    max_pixels: int,
    place: torch.device,
) -> Estimate:
    """Time some of the work of `made`, and count all of it.

    Args:
        found: the images that belong; anomalies are not counted.
        made: the plan.
        is_frozen: whether the backbone is EfficientNet-B0 with its weights as they are.
        embedding: units of the layer above it.
        derived_images: of each kind.
        background: lies below transparent parts.
        max_pixels: larger files are not read.
        place: where the networks compute.
    """
    n, classes, side = len(found.labels), len(made.classes), made.side_px
    tested = n - round(made.train_images / (1 - made.calibration_fraction))
    if isinstance(found, DataSet):
        decoding, channels = 0.0, found.images.shape[1]
    else:
        form = Form(side, side, "auto")
        decoding, channels = _decoding(found, form, background, max_pixels)
    pixels, embed = _noise(made.batch_size, channels, side), 0.0
    if is_frozen:
        inputs = torch.rand(made.batch_size, sum(SIZES))
        network: Network = FrozenEfficientNetB0(classes=classes, embedding=embedding)
        backbone = Backbone().folded().to(place)
        some = pixels[:BATCH].to(place)
        embed = _seconds(lambda: _seen(backbone, some)) / len(some)
    else:
        inputs = pixels if made.network == "lenet" else pixels[:BATCH]
        network = NETWORKS[made.network].for_images(inputs, classes=classes)
    digits = _noise(128, 1, LEAST_PX)
    small = LeNet.for_images(digits, classes=classes)
    pace = Pace(
        decoding=decoding / (os.cpu_count() or 1),
        embedding=embed,
        training=_seconds(_step(network, inputs, place)) / len(inputs),
        small=_seconds(_step(small, digits, place)) / len(digits),
    )
    seconds = pace.of(made, files=n, images=n + len(DERIVED) * min(derived_images, tested))
    return Estimate(seconds, LOW * seconds, HIGH * seconds)


def _decoding(found: ImageFiles, form: Form, background: Rgb, max_pixels: int) -> tuple[float, int]:
    """Return the seconds that a file takes, and the channels of the images."""
    step = max(1, len(found.files) // DECODED)
    start, grey = time.perf_counter(), True
    for file in found.files[::step][:DECODED]:
        grey = grey and _is_grey(found.folder / file, form, background, max_pixels)
    return (time.perf_counter() - start) / min(DECODED, len(found.files)), 1 if grey else 3


def _is_grey(path: Path, form: Form, background: Rgb, max_pixels: int) -> bool:
    try:
        image = read_image(
            path, needed_px=form.height, max_pixels=max_pixels, background=background
        )
    except UnreadableError:
        return True
    return bool(np.ptp(formed(image, form), axis=0).max() == 0)


def _noise(n: int, channels: int, side_px: int) -> Tensor:
    """Return pixels (n, ch, h, w)."""
    return torch.randint(
        0, 256, (n, channels, side_px, side_px), dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


def _step(network: Network, inputs: Tensor, place: torch.device) -> Callable[[], object]:
    """Return what passes the inputs through the network, and the gradients back."""
    network.to(place).train()
    there = inputs.to(place)
    truth = torch.zeros(len(there), dtype=torch.int64, device=place)

    def step() -> float:
        _, logits = network(there)
        loss = nn.functional.cross_entropy(logits, truth)
        loss.backward()
        return loss.item()  # waits for a GPU

    return step


@torch.no_grad()
def _seen(backbone: Backbone, images: Tensor) -> float:
    return backbone.vectors(images).sum().item()


def _seconds(work: Callable[[], object]) -> float:
    """Return the median seconds of a call; the first one prepares what others find ready."""
    work()
    taken: list[float] = []
    while sum(taken) < TIMED_SECONDS:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken))


def _plainly(seconds: float) -> str:
    """Return "40 s", "12 min" or "3.5 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
