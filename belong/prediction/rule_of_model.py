"""Define how a model's scores become verdicts, with its own or another threshold."""

import numpy as np

from belong.calibration.false_discovery import check_fdr, reported_rank
from belong.calibration.sample_size import (
    MARGINAL,
    PER_CLASS,
    Guarantee,
    rejectable,
)
from belong.calibration.verdict import decide
from belong.calibration.verdict_rule import Calibration, VerdictRule
from belong.prediction.bundle import Bundle
from belong.prediction.manifest import IntegrityError
from belong.prediction.scoring_options import ScoringOptions
from belong.runtime.errors import InputError

PREDICTED = "predicted"  # the array of the calibration images' classes


def rule_of(
    bundle: Bundle, *, alpha: float | None = None, guarantee: Guarantee | None = None
) -> VerdictRule:
    """Return the rule for verdicts.

    Args:
        bundle: the model.
        alpha: promised false-rejection rate; None: the model's own.
        guarantee: scope of alpha; None: the model's own. If both are None, the model's own
            threshold is used, whether calibrated or not.

    Raises:
        InputError: there are too few calibration images for alpha, or the model does not store
            their classes, which "per-class" needs.
        IntegrityError: the detector has no scores, or the classes do not fit the model.
    """
    manifest, scores = bundle.manifest, _calibration_scores(bundle)
    predicted = bundle.arrays["calibration"].get(PREDICTED)
    is_own, is_cross = alpha is None and guarantee is None, manifest.cross_conformal is not None
    alpha, guarantee = alpha or manifest.alpha, guarantee or manifest.guarantee
    _check(predicted, len(scores), classes=len(manifest.class_names))
    if is_own and (guarantee != PER_CLASS or manifest.threshold_from != "calibrated"):
        rank = rejectable(len(scores), alpha, guarantee)
        pooled = Calibration(scores, rank, manifest.threshold)
        return VerdictRule(guarantee, alpha, pooled, {}, {}, is_cross)
    if guarantee == PER_CLASS and predicted is None:
        raise InputError(
            "per-class needs the classes of the calibration images, which this model does not "
            "keep: an older version of belong made it; fit it again"
        )
    return VerdictRule.of(
        scores,
        predicted,
        classes=len(manifest.class_names),
        alpha=alpha,
        guarantee=guarantee,
        is_cross=is_cross,
    )


def rule_for(bundle: Bundle, options: ScoringOptions) -> VerdictRule:
    """Return the rule for the options; with `fdr`, a preliminary rule for the p-values.

    Raises:
        InputError: see `rule_of`; or there are too few calibration images for `fdr`.
        IntegrityError: see `rule_of`.
    """
    if options.fdr is None:
        return rule_of(bundle, alpha=options.alpha, guarantee=options.guarantee)
    scores = _calibration_scores(bundle)
    check_fdr(len(scores), options.fdr)
    is_cross = bundle.manifest.cross_conformal is not None
    return VerdictRule(MARGINAL, options.fdr, Calibration(scores, 0, np.inf), {}, {}, is_cross)


def reporting_rule(rule: VerdictRule, p_values: np.ndarray, fdr: float) -> VerdictRule:
    """Return the rule with the false discovery rate `fdr` among images with p-values (m,)."""
    n = len(rule.pooled.scores)
    ranks = np.rint(p_values * (n + 1)).astype(np.int64)
    return rule.at_rank(reported_rank(ranks, n=n, fdr=fdr))


def is_reported(rule: VerdictRule, p_values: np.ndarray) -> np.ndarray:
    """Return which images `reporting_rule` rejects, by their p-values (m,): (m,) bool."""
    return ~decide(-p_values, -(rule.pooled.rank + 0.5) / (len(rule.pooled.scores) + 1))


def _calibration_scores(bundle: Bundle) -> np.ndarray:
    name = bundle.manifest.detector
    scores = bundle.arrays["calibration"].get(name)
    if scores is None:
        raise IntegrityError(
            f"the model does not fit together: expected the scores of its detector, {name[:99]!r}, "
            "in calibration.safetensors, got none"
        )
    return scores


def _check(predicted: np.ndarray | None, n: int, *, classes: int) -> None:
    if predicted is None:
        return
    is_whole = predicted.shape == (n,) and predicted.dtype == np.int64
    if not is_whole or not 0 <= predicted.min() <= predicted.max() < classes:
        raise IntegrityError(
            f"the model does not fit together: the array {PREDICTED} of calibration.safetensors "
            f"is not one of {classes} classes for each of {n} images"
        )
