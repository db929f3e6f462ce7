"""Load what the detectors score, and what they were fitted to, part by part."""

from pathlib import Path

import numpy as np

from belong.detectors.registry import DETECTORS, stored_in
from belong.models.activations import Views
from belong.runtime.storage import (
    load_arrays,
    names_in,
)

TESTED = ("normal/test", "anomaly/test")


HELD_OUT = "normal/calibration"


FITTED = "normal/train"


def load_views(features: Path) -> dict[str, Views]:
    """Return the views of every part but the one that the detectors were fitted to."""
    known = names_in(features)
    parts = [name.removesuffix("/logits") for name in known if name.endswith("/logits")]
    return {
        part: Views.from_arrays(load_arrays(features, *Views.names(part)), part)
        for part in parts
        if part != FITTED
    }


def arrays_of_detectors(
    gaussians: Path, head: Path, detectors: Path
) -> dict[str, dict[str, np.ndarray]]:
    """Return for each detector the arrays that it is loaded from."""
    arrays: dict[str, dict[str, np.ndarray]] = {name: {} for name in DETECTORS}
    for name, array in load_arrays(detectors).items():
        detector, key = name.split("/")
        arrays[detector][key] = array
    return (
        arrays
        | dict.fromkeys(stored_in("gaussians"), load_arrays(gaussians))
        | dict.fromkeys(stored_in("head"), load_arrays(head))
    )
