"""Score every part of the images with every detector, and set the thresholds."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from belong.calibration.thresholds import thresholds
from belong.detectors.combined import combined
from belong.detectors.registry import DETECTORS, stored_in
from belong.models.activations import Views
from belong.parameters import CalibrationSection, CombinedSection
from belong.runtime.progress import bar

TESTED = ("normal/test", "anomaly/test")
HELD_OUT = "normal/calibration"
FITTED = "normal/train"

Arrays = Mapping[str, np.ndarray]


def score_parts(
    features: Arrays,
    class_names: list[str],
    *,
    gaussians: Arrays,
    head: Arrays,
    detectors: Arrays,
    why_no_head: str | None,
    combination: CombinedSection,
    calibration: CalibrationSection,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the scores of every part but the one that the detectors were fitted to.

    Args:
        features: `PART/VIEW` of every part, and `PART/labels` (n,) int64.
        class_names: c.
        gaussians: the arrays of `mahalanobis`.
        head: those of the supervised head.
        detectors: `DETECTOR/ARRAY` of all others.
        why_no_head: the reason, if there is no supervised head.
        combination: what `combined` is made of.
        calibration: which threshold is in force, and alpha.

    Returns:
        `PART/DETECTOR` (n,) float32, and `PART/predicted` and `PART/labels` (n,) int64 of the
        calibration and test parts; and `class_names`, `alpha`, `thresholds` (see
        `belong.calibration.thresholds`) and `missing`, detector -> why it has no scores.
    """
    parts = [name.removesuffix("/logits") for name in features if name.endswith("/logits")]
    views = {part: Views.from_arrays(features, part) for part in parts if part != FITTED}
    arrays = _by_detector(gaussians, head, detectors)
    missing = dict.fromkeys(stored_in("head"), why_no_head) if why_no_head else {}
    kinds = {name: kind for name, kind in DETECTORS.items() if name not in missing}
    scores: dict[str, dict[str, np.ndarray]] = {part: {} for part in views}
    with bar(len(kinds), "score", "detector") as progress:
        for name, kind in kinds.items():
            fitted = kind.from_arrays(arrays[name])
            for part, seen in views.items():
                scores[part][name] = fitted.score(seen).numpy()
            progress.update()
    members, tail = combination.members, combination.tail
    for part, sums in combined(scores, HELD_OUT, members, tail=tail).items():
        scores[part]["combined"] = sums
    own = {name: kind.threshold for name, kind in kinds.items() if kind.threshold is not None}
    alpha, in_force = calibration.alpha, calibration.threshold
    limits = thresholds(scores[HELD_OUT], own, alpha=alpha, in_force=in_force)
    about = {
        "class_names": class_names,
        "alpha": alpha,
        "thresholds": dict(sorted(limits.items())),
        "missing": missing,
    }
    by_name = {f"{part}/{name}": x for part, one in scores.items() for name, x in one.items()}
    for part in (HELD_OUT, *TESTED):
        if part in views:
            by_name[f"{part}/predicted"] = views[part].logits.argmax(dim=1).numpy()
            by_name[f"{part}/labels"] = features[f"{part}/labels"]
    return by_name, about


def _by_detector(gaussians: Arrays, head: Arrays, detectors: Arrays) -> dict[str, Any]:
    """Return for each detector the arrays that it is loaded from."""
    arrays: dict[str, Any] = {name: {} for name in DETECTORS}
    for name, array in detectors.items():
        detector, key = name.split("/")
        arrays[detector][key] = array
    arrays |= dict.fromkeys(stored_in("gaussians"), gaussians)
    return arrays | dict.fromkeys(stored_in("head"), head)
