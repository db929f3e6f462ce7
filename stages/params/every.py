"""The whole of params.yaml: the keys of every stage, and no others."""

from stages.params import (
    bundle,
    derive,
    detectors,
    evaluate,
    pack,
    report,
    score,
    split,
    study_covariance,
    study_promise,
    train,
    train_autoencoder,
    train_head,
)


class Params(
    split.Params,
    pack.Params,
    derive.Params,
    train.Params,
    study_covariance.Params,  # and fit_mahalanobis
    train_head.Params,
    train_autoencoder.Params,
    detectors.Params,
    score.Params,
    report.Params,
    evaluate.Params,
    study_promise.Params,
    bundle.Params,
):
    """What params.yaml holds."""

    # Of these, `pack` reads only where they lie.
    normal: split.DataSet
    anomaly: split.DataSet
    unseen: split.DataSet
    # Of this, `split` reads only alpha.
    calibration: score.CalibrationSection
