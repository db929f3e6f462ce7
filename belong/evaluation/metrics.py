"""Measure detectors: the ranking by scores, and the errors of verdicts.

`normal` and `anomaly` are the scores (n,) and (m,) of the two kinds of test images; higher is
more anomalous. Rates are shares, not percent.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
)

from belong.calibration import conformal
from belong.calibration.verdict import decide
from belong.evaluation.open_set_metrics import aurc_and_augrc, oscr


def why_none(manifest: pd.DataFrame) -> str:
    """Return the reason if the test images contain no anomaly."""
    dropped = int((manifest["is_anomaly"] & (manifest["part"] == "dropped")).sum())
    if dropped:
        return f"all {dropped:,} anomalies are among the normal images, or in another part"
    return "there are no test anomalies"


def counts(manifest: pd.DataFrame) -> dict[str, int]:
    """Count the images of each part and the dropped ones."""
    parts = manifest["part"].value_counts().sort_index()
    return {str(part).replace("/", "_"): int(n) for part, n in parts.items()}


def named(truth: np.ndarray, predicted: np.ndarray, names: list[str]) -> pd.DataFrame:
    """Return the true and the predicted class name of each image, one row per image."""
    return pd.DataFrame({"actual": np.take(names, truth), "predicted": np.take(names, predicted)})


# Metrics of a detector that need at least one anomaly.
WANTS_ANOMALIES = (
    "auroc", "fpr95", "aupr_normal", "aupr_anomaly", "f1_normal", "f1_anomaly",
    "f1_normal_balanced", "f1_anomaly_balanced", "false_accept", "auroc_low", "auroc_high", "oscr",
)  # fmt: skip


def ranking(normal: np.ndarray, anomaly: np.ndarray) -> dict[str, float]:
    """Return the metrics without a threshold: AUROC, FPR95, and AUPR with each kind as positive."""
    is_anomaly, scores = _joined(normal, anomaly)
    return {
        "auroc": roc_auc(normal, anomaly),
        "fpr95": fpr95(normal, anomaly),
        "aupr_normal": float(average_precision_score(~is_anomaly, -scores)),
        "aupr_anomaly": float(average_precision_score(is_anomaly, scores)),
    }


def roc_auc(normal: np.ndarray, anomaly: np.ndarray) -> float:
    """Return the probability that an anomaly scores higher than a normal image (ties: half)."""
    return float(roc_auc_score(*_joined(normal, anomaly)))


def _joined(normal: np.ndarray, anomaly: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each image is an anomaly, and its score: (n + m,) both."""
    is_anomaly = np.repeat([False, True], [len(normal), len(anomaly)])
    return is_anomaly, np.concatenate((normal, anomaly))


def fpr95(normal: np.ndarray, anomaly: np.ndarray) -> float:
    """Return the share of accepted anomalies at 95% or more accepted normal images."""
    enough = int(np.ceil(0.95 * len(normal) - 1e-9))
    threshold = np.sort(normal)[enough - 1]
    return float(np.mean(anomaly <= threshold))


def auroc_interval(
    normal: np.ndarray, anomaly: np.ndarray, *, resamples: int, rng: np.random.Generator
) -> dict[str, float]:
    """Return the 95% bootstrap interval of the AUROC; each kind is resampled separately.

    The scores are ranked once. Each resample counts the normal images per rank in one pass.
    """
    values, place = np.unique(np.concatenate((normal, anomaly)), return_inverse=True)
    n, m, kinds = len(normal), len(anomaly), len(values)
    resampled = []
    for _ in range(resamples):
        normals = np.bincount(rng.choice(place[:n], n), minlength=kinds)
        # Number of normal images below each anomaly, with ties counted as half.
        beaten = np.cumsum(normals) - normals / 2
        resampled.append(beaten[rng.choice(place[n:], m)].sum() / (n * m))
    low, high = np.quantile(resampled, [0.025, 0.975])
    return {"auroc_low": float(low), "auroc_high": float(high)}


def open_set_accuracy(scores: np.ndarray, right_class: np.ndarray, threshold: float) -> float:
    """Return the share of normal images (n,) that are accepted and correctly classified."""
    return float(np.mean(right_class & decide(scores, threshold)))


def detector(
    normal: np.ndarray,
    anomaly: np.ndarray,
    right_class: np.ndarray,
    *,
    threshold: float,
    resamples: int,
    rng: np.random.Generator,
    why_none: str,
) -> dict[str, float | str | None]:
    """Compute all metrics of one detector: of its ranking and of its verdicts at `threshold`.

    OSCR, AURC and AUGRC are defined in `belong.evaluation.open_set_metrics`.

    F1 is computed with each kind as positive, at the natural balance n : m and at 1 : 1, which
    makes pairs of data sets comparable. Without anomalies, the metrics that need them are None,
    and `reason` explains it.

    Scores (n,) and (m,); `right_class` (n,) is whether the normal images are correctly classified;
    `rng` draws the resamples of the bootstrap; `why_none` is the reason if m is 0.
    """
    n, m = len(normal), len(anomaly)
    reject = rejected(normal, threshold)
    aurc, augrc = aurc_and_augrc(normal, right_class)
    verdicts = {
        "aurc": aurc,
        "augrc": augrc,
        "false_reject": reject,
        "open_set_accuracy": open_set_accuracy(normal, right_class, threshold),
    }
    if m == 0:
        return verdicts | dict.fromkeys(WANTS_ANOMALIES) | {"reason": why_none}
    accept = 1 - rejected(anomaly, threshold)
    return {
        **ranking(normal, anomaly),
        **auroc_interval(normal, anomaly, resamples=resamples, rng=rng),
        "oscr": oscr(normal, right_class, anomaly),
        "f1_normal": _f1(n * (1 - reject), n * reject, m * accept),
        "f1_anomaly": _f1(m * (1 - accept), m * accept, n * reject),
        "f1_normal_balanced": _f1(1 - reject, reject, accept),
        "f1_anomaly_balanced": _f1(1 - accept, accept, reject),
        "false_accept": accept,
        **verdicts,
    }


def anomaly_sets(
    normal: Mapping[str, np.ndarray],
    sets: Mapping[str, Mapping[str, np.ndarray]],
    thresholds: Mapping[str, float],
) -> pd.DataFrame:
    """Return one row for each detector and each set of anomalies.

    `normal` is detector -> (n,), `sets` is set of anomalies -> detector -> (m,), and `thresholds`
    those of the run. Columns: `detector`, `anomalies`, `n_anomalies`, `auroc`, `fpr95`,
    `false_accept`.
    """
    return pd.DataFrame(
        {
            "detector": name,
            "anomalies": kind,
            "n_anomalies": len(scores[name]),
            "auroc": roc_auc(normal[name], scores[name]),
            "fpr95": fpr95(normal[name], scores[name]),
            "false_accept": 1 - rejected(scores[name], thresholds[name]),
        }
        for kind, scores in sets.items()
        for name in scores
    )


def floors(normal: int, anomaly: int) -> dict[str, dict[str, float | None]]:
    """Return the F1 of constant and random verdicts on these numbers of images.

    None without anomalies, as for the detectors.
    """
    numbers: dict[str, dict[str, float | None]] = {}
    for rule, kind, share, other in (
        ("accept_all", "normal", normal, anomaly),
        ("reject_all", "anomaly", anomaly, normal),
    ):
        f1 = (_f1(share, 0, other), _f1(1, 0, 1)) if anomaly else (None, None)
        numbers[rule] = {f"f1_{kind}": f1[0], f"f1_{kind}_balanced": f1[1]}
    return numbers


def classification(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Measure the classification; `truth` and `predicted` are labels (n,)."""
    return {
        "accuracy": float(np.mean(truth == predicted)),
        "f1_macro": float(f1_score(truth, predicted, average="macro")),
        "n": len(truth),
    }


def calibration(
    held_out: np.ndarray,
    test: np.ndarray,
    training_threshold: float,
    *,
    alpha: float,
    is_cross: bool = False,
) -> dict[str, float]:
    """Return the promised and the measured false-reject rate of both kinds of threshold.

    Scores are (k,) of the calibration images and (n,) of normal test images; `alpha` is promised.
    With `is_cross` the training images calibrate.
    """
    low, high = conformal.promised_range(len(held_out), len(test), alpha=alpha, is_cross=is_cross)
    return {
        "alpha": alpha,
        "false_reject_training": rejected(test, training_threshold),
        "false_reject_calibrated": rejected(test, conformal.threshold(held_out, alpha=alpha)),
        "false_reject_expected_low": low,
        "false_reject_expected_high": high,
        "n_calibration": len(held_out),
    }


def _f1(true_positive: float, false_negative: float, wrong: float) -> float:
    # The denominator is not 0, as each image of the positive kind is a true positive or missed.
    return 2 * true_positive / (2 * true_positive + false_negative + wrong)


def rejected(scores: np.ndarray, threshold: float) -> float:
    """Return the share of scores (n,) above the threshold."""
    return float(np.mean(~decide(scores, threshold)))


def roc_points(normal: np.ndarray, anomaly: np.ndarray, *, most: int) -> pd.DataFrame:
    """Return the ROC curve with "normal" as the positive class, thinned to about `most` rows.

    Both ends are kept; the rows between are evenly spaced along the curve. Columns:
    `false_positive_rate` (anomalies accepted), `true_positive_rate` (normal images accepted),
    `threshold` (the score up to which an image is accepted).
    """
    is_anomaly, scores = _joined(normal, anomaly)
    fpr, tpr, thresholds = roc_curve(~is_anomaly, -scores)
    along = fpr + tpr
    rows = np.unique(np.searchsorted(along, np.linspace(0, 2, most)).clip(max=len(along) - 1))
    return pd.DataFrame(
        {
            "false_positive_rate": fpr[rows],
            "true_positive_rate": tpr[rows],
            "threshold": -thresholds[rows],
        }
    )


def precision_recall_points(normal: np.ndarray, anomaly: np.ndarray, *, most: int) -> pd.DataFrame:
    """Return both precision-recall curves, thinned to about `most` rows each.

    Columns: `kind` (which is the positive: "normal" or "anomaly"), `recall`, `precision`.
    """
    is_anomaly, scores = _joined(normal, anomaly)
    curves = []
    for kind, truth, sign in (("normal", ~is_anomaly, -1), ("anomaly", is_anomaly, 1)):
        precision, recall, _ = precision_recall_curve(truth, sign * scores)
        # Recall falls along the curve. Among rows with equal recall, the last has the highest
        # precision. The last row of all, with recall 0, is a convention.
        along = 1 - recall
        rows = np.searchsorted(along, np.linspace(0, 1, most), side="right") - 1
        rows = rows.clip(max=len(along) - 2)
        rows_of_curve = np.unique(rows)[::-1]
        curves.append(
            pd.DataFrame(
                {
                    "kind": kind,
                    "recall": recall[rows_of_curve],
                    "precision": precision[rows_of_curve],
                }
            )
        )
    return pd.concat(curves, ignore_index=True)


def calibration_curve(
    held_out: Mapping[str, np.ndarray],
    test: Mapping[str, np.ndarray],
    *,
    points: int,
    is_cross: bool = False,
) -> pd.DataFrame:
    """Return the measured false-reject rate of each detector for each promised rate.

    Both are detector -> scores, of calibration images (k,) and of normal test images (n,). There
    are `points` promised rates, from the minimum for k images up to one half. Columns: `detector`,
    `alpha`, `false_reject`, and `expected_low` and `expected_high`, the range of 95% of the rates.
    With `is_cross` the training images calibrate.
    """
    parts = []

    @cache
    def band_of(k: int, n: int) -> pd.DataFrame:
        alphas = np.unique(np.geomspace(1 / (k + 1), 0.5, points).round(4).clip(1 / (k + 1)))
        ranges = [
            conformal.promised_range(k, n, alpha=alpha, is_cross=is_cross) for alpha in alphas
        ]
        return pd.DataFrame(ranges, columns=["expected_low", "expected_high"]).assign(alpha=alphas)

    for name, scores in held_out.items():
        band = band_of(len(scores), len(test[name]))
        achieved = [
            rejected(test[name], conformal.threshold(scores, alpha=alpha))
            for alpha in band["alpha"]
        ]
        parts.append(band.assign(detector=name, false_reject=achieved))
    columns = ["detector", "alpha", "false_reject", "expected_low", "expected_high"]
    return pd.concat(parts, ignore_index=True)[columns]


def histogram(scores: Mapping[str, np.ndarray], *, bins: int, reach: float = 0.998) -> pd.DataFrame:
    """Return for each kind of image the share of its scores in each bin.

    Scores have long tails: the bins span the central share `reach` of all scores, and scores beyond
    count in the outermost bins. Columns: `score` (the center of the bin), then the kinds.
    """
    ends = [(1 - reach) / 2, (1 + reach) / 2]
    low, high = np.quantile(np.concatenate(list(scores.values())), ends)
    edges = np.linspace(low, high if high > low else low + 1, bins + 1)
    shares = {
        kind: np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / len(values)
        for kind, values in scores.items()
    }
    return pd.DataFrame({"score": (edges[:-1] + edges[1:]) / 2} | shares)


def rounded(value: Any) -> Any:
    """Return nested dictionaries of numbers with four decimals."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return round(value, 4) if isinstance(value, float) else value
