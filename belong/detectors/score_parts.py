"""Score every part of the images with every detector, set the thresholds, and decide."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch

from belong.calibration import conformal
from belong.calibration.thresholds import thresholds
from belong.calibration.verdict import decide
from belong.detectors.base import scores_of
from belong.detectors.combined import Member, combined, entered
from belong.detectors.registry import DETECTORS, stored_in
from belong.detectors.temperature_scaling import best_temperature
from belong.models.activations import Views
from belong.parameters import CalibrationSection, CombinationRule
from belong.runtime.progress import bar

TESTED = ("normal/test", "anomaly/test")
HELD_OUT = "normal/calibration"
FITTED = "normal/train"
SPREAD = 0.5  # of the logarithm of the temperature, before any image is seen

Arrays = Mapping[str, np.ndarray]


def score_parts(
    features: Arrays,
    class_names: list[str],
    *,
    gaussians: Arrays,
    head: Arrays,
    detectors: Arrays,
    why_no_head: str | None,
    members: Mapping[str, Member],
    tail: float,
    rule: CombinationRule,
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
        members: the candidates of `combined`, and which of them enter.
        tail: and
        rule: see `belong.detectors.combined`.
        calibration: which threshold is in force, and alpha.

    Returns:
        `PART/DETECTOR` (n,) float32, and `PART/predicted` and `PART/labels` (n,) int64 of the
        calibration and test parts, `normal/test/confidence` (n,) float32, the largest probability,
        and `normal/test/raw_confidence`, the same at a temperature of 1; and `class_names`,
        `alpha`, `thresholds` (see `belong.calibration.thresholds`), `members` (see `Member`),
        `missing`, detector -> why it has no scores, and the `temperature` of the logits that fits
        the labels of the calibration images (Guo et al., ICML 2017).
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
                scores[part] |= scores_of({name: fitted}, seen)
            progress.update()
    sums_of = combined(scores, HELD_OUT, entered(members), tail=tail, rule=rule)
    for part, sums in sums_of.items():
        scores[part]["combined"] = sums
    paper_thresholds = {
        name: kind.threshold for name, kind in kinds.items() if kind.threshold is not None
    }
    alpha, in_force = calibration.alpha, calibration.threshold
    limits = thresholds(
        scores[HELD_OUT],
        paper_thresholds,
        alpha=alpha,
        in_force=in_force,
        guarantee=calibration.guarantee,
    )
    logits, labels = views[HELD_OUT].logits, torch.from_numpy(features[f"{HELD_OUT}/labels"])
    # Four decimals, so that the last bits of a sum decide nothing.
    temperature = round(best_temperature(logits, labels, spread=SPREAD), 4)
    about = {
        "class_names": class_names,
        "alpha": alpha,
        "thresholds": dict(sorted(limits.items())),
        "members": {name: asdict(member) for name, member in members.items()},
        "missing": missing,
        "temperature": temperature,
    }
    by_name = {f"{part}/{name}": x for part, one in scores.items() for name, x in one.items()}
    for part, seen in views.items():
        by_name[f"{part}/predicted"] = seen.logits.argmax(dim=1).numpy()
        if part in (HELD_OUT, *TESTED):
            by_name[f"{part}/labels"] = features[f"{part}/labels"]
    for name, divisor in (("confidence", temperature), ("raw_confidence", 1.0)):
        by_name[f"{TESTED[0]}/{name}"] = _confidence(views[TESTED[0]], divisor)
    return by_name, about


def _confidence(views: Views, temperature: float) -> np.ndarray:
    """Return the largest probability of each image: (n,) float32."""
    return (views.logits / temperature).softmax(dim=1).amax(dim=1).numpy()


def verdict_table(scores: Arrays, about: Mapping[str, Any], manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the verdict of each detector on each test image, beside its row of the manifest.

    Scores and `about` are what `score_parts` returns. Columns: those of the manifest,
    `predicted_class`, and for each detector `DETECTOR_score`, `DETECTOR_p_value` and
    `DETECTOR_belongs`.
    """
    held_out = [key for key in scores if key.startswith(f"{HELD_OUT}/")]
    names = [name for key in held_out if (name := key.rpartition("/")[2]) in about["thresholds"]]
    tested = [part for part in TESTED if f"{part}/predicted" in scores]
    tables = []
    for part in tested:
        classes = np.take(about["class_names"], scores[f"{part}/predicted"])
        columns: dict[str, np.ndarray] = {"predicted_class": classes}
        for name in names:
            own, limit = scores[f"{part}/{name}"], about["thresholds"][name]["in_force"]
            known = conformal.ties(scores[f"{HELD_OUT}/{name}"])
            columns[f"{name}_score"] = own
            columns[f"{name}_p_value"] = conformal.p_values_of(known, own)
            columns[f"{name}_belongs"] = decide(own, limit)
        tables.append(pd.DataFrame(columns))
    rows = manifest[manifest["part"].isin(tested)].reset_index(drop=True)
    return pd.concat([rows, pd.concat(tables, ignore_index=True)], axis=1)


def _by_detector(gaussians: Arrays, head: Arrays, detectors: Arrays) -> dict[str, Any]:
    """Return for each detector the arrays that it is loaded from."""
    arrays: dict[str, Any] = {name: {} for name in DETECTORS}
    for name, array in detectors.items():
        detector, key = name.split("/")
        arrays[detector][key] = array
    arrays |= dict.fromkeys(stored_in("gaussians"), gaussians)
    return arrays | dict.fromkeys(stored_in("head"), head)
