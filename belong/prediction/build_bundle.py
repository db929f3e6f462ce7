"""Put a model together from what the pipeline made: only what its verdicts need."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np

from belong.calibration.conformal import promised_range
from belong.data.image_form import ImageForm
from belong.data.resize import Form, one_formed
from belong.prediction.bundle import Arrays
from belong.prediction.manifest import Measured

# These look at the codes of the autoencoder, or at what it redraws.
CODED = {"reconstruction", "code_knn", "code_iforest"}
GAUSSIANS, HEAD = ("mahalanobis", "mahalanobis_min"), "mlp_head"
THUMBNAIL_PX = 64  # the longer side; smaller images stay as they are


def calibration(held_out: Arrays, detector: str, members: list[str]) -> dict[str, np.ndarray]:
    """Return what p-values are taken from, and what the surprises of `combined` are fitted to.

    Args:
        held_out: detector -> scores (n,) of the calibration images; of `combined` half as many.
        detector: the one in force.
        members: of `combined`, if it is in force.
    """
    # Every other image, as in `detectors.combined.combined`; the rest are in that of `combined`.
    fitted = {f"member/{name}": held_out[name][::2] for name in members}
    return {detector: held_out[detector]} | fitted


def of_detectors(
    gaussians: Arrays, head: Arrays, others: Arrays, uses: Collection[str]
) -> dict[str, np.ndarray]:
    """Return the arrays of the detectors that are asked, as `DETECTOR/ARRAY`.

    Args:
        gaussians: the arrays of `mahalanobis`.
        head: those of `mlp_head`.
        others: `DETECTOR/ARRAY` of all others.
        uses: the detectors that are asked.
    """
    every = {f"{name}/{key}": array for name in GAUSSIANS for key, array in gaussians.items()}
    every |= {f"{HEAD}/{key}": array for key, array in head.items()}
    every |= others
    return {name: array for name, array in every.items() if name.split("/")[0] in uses}


def image_form(
    images: np.ndarray, *, background: tuple[int, int, int], max_pixels: int
) -> ImageForm:
    """Return the form of images (n, ch, h, w), and how files come to it."""
    _, channels, height, width = images.shape
    return ImageForm(
        channels=1 if channels == 1 else 3,
        height=height,
        width=width,
        color="grey" if channels == 1 else "rgb",
        resize="cover",
        background=background,
        max_pixels=max_pixels,
    )


def kind_of(thresholds: Mapping[str, float]) -> Literal["calibrated", "training"]:
    """Return which of a detector's thresholds is the one in force."""
    is_own = thresholds["in_force"] != thresholds["calibrated"]
    return "training" if is_own else "calibrated"


def measured(metrics: Mapping[str, Any], detector: str, *, held_out: int, alpha: float) -> Measured:
    """Return what the pipeline measured of the detector in force.

    Args:
        metrics: what metrics.json holds.
        detector: the one in force.
        held_out: images that set its threshold.
        alpha: the promised share of false rejects.
    """
    own, parts = metrics["detectors"][detector], metrics["data"]
    normal = parts["normal_test"]
    low, high = promised_range(held_out, normal, alpha=alpha)
    return Measured(
        accuracy=metrics["classification"]["accuracy"],
        normal_images=normal,
        anomalies=parts.get("anomaly_test", 0),
        auroc=own["auroc"],
        false_reject=own["false_reject"],
        expected=(round(low, 4), round(high, 4)),
        false_accept=own["false_accept"],
    )


def training(
    images: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray,
    *,
    most: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draw training images to show beside new ones, about as many of each class.

    Args:
        images: (n, ch, h, w) uint8.
        features: (n, d) float32.
        labels: (n,) int64, 0..c-1.
        most: images of all classes together.
        rng: draws them.

    Returns:
        `features` (m, d), `labels` (m,), `thumbnails` (m, ch, h, w) uint8, in the order of the
        training images.
    """
    classes = np.unique(labels)
    of_each = max(1, most // len(classes))
    drawn = [rng.permutation(np.flatnonzero(labels == label))[:of_each] for label in classes]
    rows = np.sort(np.concatenate(drawn))
    return {
        "features": features[rows],
        "labels": labels[rows],
        "thumbnails": np.stack([thumbnail(images[row]) for row in rows]),
    }


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Return an image (ch, h, w) uint8 whose longer side has at most 64 pixels."""
    channels, height, width = image.shape
    longer = max(height, width)
    if longer <= THUMBNAIL_PX:
        return image
    rows, columns = (max(1, round(side * THUMBNAIL_PX / longer)) for side in (height, width))
    form = Form(rows, columns, "grey" if channels == 1 else "rgb")
    return one_formed(image, form)
