"""The whole of params.yaml: the keys of every stage, and no others."""

from stages.params import evaluate, fit_mahalanobis, report, score, split, train, train_head


class Params(
    split.Params,
    train.Params,
    fit_mahalanobis.Params,
    train_head.Params,
    score.Params,
    evaluate.Params,
    report.Params,
):
    """What params.yaml holds."""
