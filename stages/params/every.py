"""The whole of params.yaml: the keys of every stage, and no others."""

from stages.params import computing, evaluate, fit_mahalanobis, score, split, train, train_head


class Params(
    split.Params,
    train.Params,
    computing.Params,
    fit_mahalanobis.Params,
    train_head.Params,
    score.Params,
    evaluate.Params,
):
    """What params.yaml holds."""
