"""Measure open-set recognition and selective classification; scores are higher for anomalies.

AUROC with the interval of DeLong, DeLong and Clarke-Pearson, Biometrics 1988; OSCR of Dhamija,
Guenther and Boult, NeurIPS 2018; AURC of Geifman, Uziel and El-Yaniv, ICLR 2019; AUGRC of Traub et
al., NeurIPS 2024; ECE of Guo et al., ICML 2017.
"""

import numpy as np

LEVEL_95 = 1.959964  # standard deviations
BINS = 15  # of the ECE, as in its paper


def auroc_and_interval(
    normal: np.ndarray, anomaly: np.ndarray
) -> tuple[float, float | None, float | None]:
    """Return the AUROC and the ends of its 95% interval; None with fewer than 2 of a kind.

    The interval is computed on the logit of the AUROC, with DeLong's variance. It takes two sorts
    of the scores (n,) and (m,). For an AUROC of 1 or 0, it is the exact interval of a share of 1 or
    0 among min(n, m) rows.
    """
    n, m = len(normal), len(anomaly)
    of_anomalies = _placements(np.sort(normal), anomaly)
    auroc = float(of_anomalies.mean())
    if min(n, m) < 2:
        return auroc, None, None
    if auroc in (0.0, 1.0):
        reach = 0.025 ** (1 / min(n, m))
        return (1.0, reach, 1.0) if auroc else (0.0, 0.0, 1 - reach)
    of_normals = _placements(np.sort(anomaly), normal)
    variance = of_anomalies.var(ddof=1) / m + of_normals.var(ddof=1) / n
    logit = np.log(auroc / (1 - auroc))
    reach = LEVEL_95 * np.sqrt(variance) / (auroc * (1 - auroc))
    low, high = 1 / (1 + np.exp(-(logit + np.array([-reach, reach])).clip(-700, 700)))
    return auroc, float(low), float(high)


def _placements(sorted_scores: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return the share of sorted scores (n,) below each score (m,), ties count half: (m,)."""
    below = np.searchsorted(sorted_scores, scores, side="left")
    return np.asarray(
        (below + np.searchsorted(sorted_scores, scores, side="right")) / (2 * len(sorted_scores))
    )


def oscr(normal: np.ndarray, right_class: np.ndarray, anomaly: np.ndarray) -> float:
    """Return the area under the correct classification rate over the share of accepted anomalies.

    This is the probability that an anomaly scores higher than a normal row and the normal row is
    classified correctly; ties count half. Scores (n,), `right_class` (n,) bool, scores (m,).
    """
    right = np.sort(normal[right_class])
    if not len(right):
        return 0.0
    return float(_placements(right, anomaly).mean() * len(right) / len(normal))


def aurc_and_augrc(scores: np.ndarray, right_class: np.ndarray) -> tuple[float, float]:
    """Return the areas under two risks over the coverage, accepting the lowest scores (n,) first.

    The risk of AURC is the error rate among the accepted rows. The risk of AUGRC is the share of
    all rows that are accepted and wrong. Errors are averaged over tied scores.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    errors = np.bincount(place, weights=~right_class) / counts
    wrong = np.repeat(errors, counts).cumsum()
    accepted = np.arange(1, len(scores) + 1)
    return float(np.mean(wrong / accepted)), float(np.mean(wrong / len(scores)))


def calibration_error(confidence: np.ndarray, right_class: np.ndarray) -> float:
    """Return the expected calibration error, in 15 bins of equal width; (n,) in 0..1, (n,) bool."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right_class, minlength=BINS)
    return float(np.abs(gaps).sum() / len(confidence))
