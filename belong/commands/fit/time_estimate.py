"""How long a fit will take: some of its work is timed on this machine, all of it is counted.

What is timed is the work itself: some files are decoded, and a step of each network that takes part
is made. The rest (autoencoder, detectors, measuring, the page) is counted in steps of the small
network, as they were on the pipeline's own run. A machine that others use too slows all alike.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from belong.commands.fit.plan import LEAST_PX, Plan
from belong.data.dataset import DataSet
from belong.data.decode_pool import Decoder, timed
from belong.data.image_folder import ImageFiles
from belong.data.isolation import each_item
from belong.data.resize import Form
from belong.data.synthetic_anomalies import DERIVED
from belong.models import device as devices
from belong.models.backbones.backbone import Backbone
from belong.models.base import Network
from belong.models.inference import batch_for
from belong.models.registry import build
from belong.parameters import ImagesSection, Parameters

PHOTOS = 16  # of a step of training a backbone that is timed, and
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

    def of(self, plan: Plan, *, files: int, images: int) -> float:
        """Return the seconds of a plan: `files` to decode, `images` with those derived of them."""
        return (
            files * self.decoding
            + images * self.embedding
            + plan.epochs * plan.train_images * self.training
            + (PASSES_OF_ALL + PASSES_OF_EACH * images) * self.small
        )


def in_words(seconds: float) -> str:
    """Return an estimate for people, with what it is likely to lie between."""
    low, high = (_plainly(share * seconds) for share in (LOW, HIGH))
    return f"about {_plainly(seconds)} ({low} to {high})"


def estimate(
    found: DataSet | ImageFiles, plan: Plan, values: Parameters, backbone: Backbone | None
) -> float:
    """Time some of the work of `plan`, and count all of it; return the seconds until the model.

    `found` are the images that belong; anomalies are not counted. The plan's keys are in `values`.
    """
    pace = pace_of(
        found,
        network=values.network_kind,
        side_px=plan.side_px,
        batch_size=plan.batch_size,
        values=values,
        backbone=backbone,
        is_frozen=values.is_frozen,
    )
    n = len(found.labels)
    tested = n - round(plan.train_images / (1 - plan.calibration_fraction))
    images_of_all = n + len(DERIVED) * min(values.derive.images, tested)
    return pace.of(plan, files=n, images=images_of_all)


def pace_of(
    found: DataSet | ImageFiles,
    *,
    network: str,
    side_px: int,
    batch_size: int,
    values: Parameters,
    backbone: Backbone | None,
    is_frozen: bool,
) -> Pace:
    """Time each kind of work on this machine.

    Args:
        found: the images, some of which are decoded.
        network: its name in `belong.models.registry.NETWORKS`.
        side_px: of the square that every image becomes.
        batch_size: images per step of the training.
        values: the parameters: the device, the threads, how images are read.
        backbone: that the network stands on, if any.
        is_frozen: whether it only embeds the images.
    """
    devices.compute_repeatably(values.threads, values.math)
    device = devices.choose(values.device)
    classes = len(found.class_names)
    decoding, channels = _decoding(found, side_px, values.images)
    pixels, embedding = _noise(batch_size, channels, side_px), 0.0
    inputs = pixels if backbone is None else pixels[:PHOTOS]
    if backbone is not None and is_frozen:
        folded, images = backbone.folded().to(device), pixels[: batch_for(device)].to(device)
        backbone.check_size(images)
        # As many batches at once as there are processors.
        jobs = (os.cpu_count() or 1) if device.type == "cpu" else 1
        embedding = _seconds(lambda: folded.vectors(images)) / len(images) / jobs
        inputs = torch.rand(batch_size, sum(backbone.card.sizes))
    built = build(
        network, inputs, classes=classes, embedding=values.train.embedding, backbone=backbone
    )
    digits = _noise(128, 1, LEAST_PX)
    small = build("lenet", digits, classes=classes, embedding=0)
    return Pace(
        decoding=decoding / (os.cpu_count() or 1),
        embedding=embedding,
        training=_seconds(_step(built, inputs, device)) / len(inputs),
        small=_seconds(_step(small, digits, device)) / len(digits),
    )


def _decoding(
    found: DataSet | ImageFiles, side_px: int, options: ImagesSection
) -> tuple[float, int]:
    """Return the seconds that a file takes, and the channels of the images."""
    if isinstance(found, DataSet):
        return 0.0, found.images.shape[1]
    step = max(1, len(found.files) // DECODED)
    form = Form(side_px, side_px, "auto")
    decoder = Decoder(form, options.background_rgb, options.max_pixels)
    paths = found.paths[::step][:DECODED]
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
    """Return pixels (n, ch, h, w)."""
    return torch.randint(
        0, 256, (n, channels, side_px, side_px), dtype=torch.uint8,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip


def _step(network: Network, inputs: Tensor, device: torch.device) -> Callable[[], object]:
    """Return what passes the inputs through the network, and the gradients back."""
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
