"""Score every part of the images with every detector, set the thresholds, and decide."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from belong.calibration import conformal
from belong.calibration.thresholds import thresholds
from belong.calibration.verdict import decide
from belong.detectors.base import scores_of
from belong.detectors.combination import CombinationRule
from belong.detectors.combined import Member, combined, cross_combined, entered
from belong.detectors.registry import DETECTORS, stored_in
from belong.detectors.temperature_scaling import best_temperature
from belong.models.activations import Views
from belong.parameters import CalibrationSection
from belong.runtime.progress import bar

NORMAL_TEST = "normal/test"
TESTED = (NORMAL_TEST, "anomaly/test")
HELD_OUT = "normal/calibration"
CLASSIFIED = (HELD_OUT, NORMAL_TEST)  # parts whose class probabilities are computed
FITTED = "normal/train"
SPREAD = 0.5  # prior standard deviation of the logarithm of the temperature

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
    """Return the scores of every part, except the training images.

    Args:
        features: `PART/VIEW` of every part, and `PART/labels` (n,) int64.
        class_names: c class names.
        gaussians: the arrays of `mahalanobis`.
        head: the arrays of the supervised head.
        detectors: `DETECTOR/ARRAY` of all other detectors.
        why_no_head: the reason, if there is no supervised head.
        members: the candidates of `combined`, see `Member`.
        tail: see `belong.detectors.combined`.
        rule: see `belong.detectors.combined`.
        calibration: alpha, and the kind of threshold.

    Returns:
        See `with_thresholds`.
    """
    scores = detector_scores(features, gaussians=gaussians, head=head, detectors=detectors)
    sums = combined(by_part(scores), HELD_OUT, entered(members), tail=tail, rule=rule)
    return with_thresholds(
        scores,
        sums,
        class_names,
        missing=dict.fromkeys(stored_in("head"), why_no_head) if why_no_head else {},
        members=members,
        calibration=calibration,
    )


def detector_scores(
    features: Arrays,
    *,
    gaussians: Arrays,
    head: Arrays,
    detectors: Arrays,
    description: str | None = "score",
    only: Collection[str] = (),
) -> dict[str, np.ndarray]:
    """Score every part except the training images with every detector.

    Args:
        features: see `score_parts`.
        gaussians: see `score_parts`.
        head: see `score_parts`; if empty, its detector is skipped.
        detectors: see `score_parts`.
        description: label of the progress bar; None shows none.
        only: names of the detectors to score with; empty: all.

    Returns:
        `PART/DETECTOR` (n,) float32; `PART/predicted` and `PART/labels` (n,) int64 of the
        calibration and test parts; and `PART/logits` (n, c) of the normal ones among these.
    """
    parts = [name.removesuffix("/logits") for name in features if name.endswith("/logits")]
    views = {part: Views.from_arrays(features, part) for part in parts if part != FITTED}
    arrays = _by_detector(gaussians, head, detectors)
    missing = () if head else stored_in("head")
    names = [name for name in DETECTORS if name not in missing and (not only or name in only)]
    kinds = {name: DETECTORS[name] for name in names}
    scores: dict[str, np.ndarray] = {}
    with bar(len(kinds), description, "detector") as progress:
        for name, kind in kinds.items():
            fitted = kind.from_arrays(arrays[name])
            for part, part_views in views.items():
                scores |= {
                    f"{part}/{key}": x for key, x in scores_of({name: fitted}, part_views).items()
                }
            progress.update()
    for part, part_views in views.items():
        scores[f"{part}/predicted"] = part_views.logits.argmax(dim=1).numpy()
        if part in (HELD_OUT, *TESTED):
            scores[f"{part}/labels"] = features[f"{part}/labels"]
    for part in CLASSIFIED:
        if part in views:
            scores[f"{part}/logits"] = views[part].logits.numpy()
    return scores


def with_thresholds(
    scores: Arrays,
    sums: Arrays,
    class_names: list[str],
    *,
    missing: Mapping[str, str],
    members: Mapping[str, Member],
    calibration: CalibrationSection,
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Add the scores of `combined`, and compute the thresholds.

    Args:
        scores: the result of `detector_scores`.
        sums: part -> the scores of `combined`.
        class_names: c class names.
        missing: detector -> the reason why it has no scores.
        members: the candidates of `combined`, see `Member`.
        calibration: alpha, and the kind of threshold.

    Returns:
        First, `PART/DETECTOR` (n,) float32; `PART/predicted` and `PART/labels` (n,) int64 of the
        calibration and test parts; `normal/test/confidence` (n,) float32, the largest probability;
        and `normal/test/raw_confidence`, the same at a temperature of 1.

        Second, `class_names`; `alpha`; `thresholds` (see `belong.calibration.thresholds`);
        `members` (see `Member`); `missing`, detector -> the reason why it has no scores; and
        `temperature`, that of the logits, fitted to the labels of the calibration images (Guo et
        al., ICML 2017).
    """
    all_scores = dict(scores) | {f"{part}/combined": x for part, x in sums.items()}
    held_out = by_part(all_scores)[HELD_OUT]
    paper_thresholds = {
        name: kind.threshold
        for name, kind in DETECTORS.items()
        if kind.threshold is not None and name in held_out
    }
    alpha, in_force = calibration.alpha, calibration.threshold
    limits = thresholds(
        held_out, paper_thresholds, alpha=alpha, in_force=in_force, guarantee=calibration.guarantee
    )
    logits = {part: torch.from_numpy(all_scores.pop(f"{part}/logits")) for part in CLASSIFIED}
    labels = torch.from_numpy(all_scores[f"{HELD_OUT}/labels"])
    # Four decimals, so that the last bits of a sum have no effect.
    temperature = round(best_temperature(logits[HELD_OUT], labels, spread=SPREAD), 4)
    for name, divisor in (("confidence", temperature), ("raw_confidence", 1.0)):
        all_scores[f"{NORMAL_TEST}/{name}"] = _confidence(logits[NORMAL_TEST], divisor)
    return all_scores, {
        "class_names": class_names,
        "alpha": alpha,
        "thresholds": dict(sorted(limits.items())),
        "members": {name: asdict(member) for name, member in members.items()},
        "missing": dict(missing),
        "temperature": temperature,
    }


def cross_scores(
    out_of_fold: Arrays,
    features: Arrays,
    class_names: list[str],
    *,
    gaussians: Arrays,
    head: Arrays,
    detectors: Arrays,
    why_no_head: str | None,
    members: Collection[str],
    tail: float,
    rule: CombinationRule,
    calibration: CalibrationSection,
    only: Collection[str] = (),
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the scores of a cross-conformal model, in the form of `score_parts`.

    Args:
        out_of_fold: the result of `detector_scores` with detectors fitted without the images: for
            the training images, named as the calibration part, and the anomalies derived from them.
            Without a test part, these are also the scores of the test.
        features: see `score_parts`.
        class_names: c class names.
        gaussians: the arrays of `mahalanobis`.
        head: the arrays of the supervised head.
        detectors: `DETECTOR/ARRAY` of all other detectors.
        why_no_head: the reason, if there is no supervised head.
        members: the detectors of `combined`. They are not selected by their results, which would
            need a further split of the images.
        tail: see `belong.detectors.combined`.
        rule: see `belong.detectors.combined`.
        calibration: alpha, and the kind of threshold.
        only: names of the detectors to score with; empty: all.
    """
    out_of_fold_parts = by_part(out_of_fold)
    other_features = {
        key: x for key, x in features.items() if key.rpartition("/")[0] not in out_of_fold_parts
    }
    scores = detector_scores(
        other_features, gaussians=gaussians, head=head, detectors=detectors, only=only
    )
    scores |= out_of_fold
    sums = cross_combined(by_part(scores), HELD_OUT, members, tail=tail, rule=rule)
    if f"{NORMAL_TEST}/predicted" not in scores:
        start = f"{HELD_OUT}/"
        names = [key.removeprefix(start) for key in scores if key.startswith(start)]
        scores |= {f"{NORMAL_TEST}/{key}": scores[start + key] for key in names}
        sums[NORMAL_TEST] = sums[HELD_OUT]
    all_scores, about = with_thresholds(
        scores,
        sums,
        class_names,
        missing=dict.fromkeys(stored_in("head"), why_no_head) if why_no_head else {},
        members={name: Member(None, None) for name in members},
        calibration=calibration,
    )
    return all_scores, about | {"calibration": "cross"}


def by_part(scores: Arrays) -> dict[str, dict[str, np.ndarray]]:
    """Return part -> detector -> scores (n,) from arrays `PART/DETECTOR`, without the classes."""
    parts: dict[str, dict[str, np.ndarray]] = {}
    for key, array in scores.items():
        part, _, name = key.rpartition("/")
        if name not in ("predicted", "labels", "logits"):
            parts.setdefault(part, {})[name] = array
    return parts


def _confidence(logits: Tensor, temperature: float) -> np.ndarray:
    """Return the largest probability of each image: (n,) float32."""
    return (logits / temperature).softmax(dim=1).amax(dim=1).numpy()


def verdict_table(scores: Arrays, about: Mapping[str, Any], manifest: pd.DataFrame) -> pd.DataFrame:
    """Return the verdict of each detector on each test image, with its row of the manifest.

    `scores` and `about` are the results of `score_parts`. Columns: those of the manifest,
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
            values, calibration = scores[f"{part}/{name}"], scores[f"{HELD_OUT}/{name}"]
            kinds = about["thresholds"][name]
            limit = kinds["in_force"]
            if limit == kinds["calibrated"]:  # equal scores have equal verdicts
                limit = float(conformal.tie(np.array(limit), calibration))
            columns[f"{name}_score"] = values
            columns[f"{name}_p_value"] = conformal.p_values_of(conformal.ties(calibration), values)
            columns[f"{name}_belongs"] = decide(values, limit)
        tables.append(pd.DataFrame(columns))
    rows = manifest[manifest["part"].isin(tested)].reset_index(drop=True)
    return pd.concat([rows, pd.concat(tables, ignore_index=True)], axis=1)


def _by_detector(gaussians: Arrays, head: Arrays, detectors: Arrays) -> dict[str, Any]:
    """Return detector -> its arrays."""
    arrays: dict[str, Any] = {name: {} for name in DETECTORS}
    for name, array in detectors.items():
        detector, key = name.split("/")
        arrays[detector][key] = array
    arrays |= dict.fromkeys(stored_in("gaussians"), gaussians)
    return arrays | dict.fromkeys(stored_in("head"), head)
