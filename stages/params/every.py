"""The whole of params.yaml: the keys of every stage, and no others."""

from stages.params import (
    derive,
    detectors,
    evaluate,
    fit_mahalanobis,
    pack,
    report,
    score,
    split,
    train,
    train_autoencoder,
    train_head,
)


class Params(
    split.Params,
    pack.Params,
    derive.Params,
    train.Params,
    fit_mahalanobis.Params,
    train_head.Params,
    train_autoencoder.Params,
    detectors.Params,
    score.Params,
    report.Params,
    evaluate.Params,
):
    """What params.yaml holds."""

    # Of these, `pack` reads only where they lie.
    normal: split.DataSet
    anomaly: split.DataSet
    unseen: split.DataSet
