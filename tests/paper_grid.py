"""Grids by hand: cells whose numbers are known, for the tests of the paper's stage."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

LAMBDAS = (0.0, 0.001, 0.01, 0.1, 1.0)
DETECTORS = ("mahalanobis", "mlp_head", "energy")
PAIRS = ("mnist-fashion-mnist", "digit-0")

Measure = Callable[[str, float, int], dict[str, float]]


def grid_of(
    measure: Measure,
    *,
    pairs: Iterable[str] = PAIRS,
    lambdas: Iterable[float] = LAMBDAS,
    seeds: Iterable[int] = range(5),
) -> pd.DataFrame:
    """Return a row for each cell, with what `measure` (pair, lambda, seed) says of it."""
    lambdas, seeds = list(lambdas), list(seeds)
    return pd.DataFrame(
        {"pair": pair, "lambda": lambda_, "seed": seed} | measure(pair, lambda_, seed)
        for pair in pairs
        for lambda_ in lambdas
        for seed in seeds
    )


def plausible(pair: str, lambda_: float, seed: int) -> dict[str, float]:
    """Return numbers like those of a cell, all that the stage reads."""
    noise = np.random.default_rng(seed * 1000 + round(lambda_ * 1000)).normal(0, 0.0008, 40)
    strength = np.log10(1 + 1000 * lambda_)
    cell: dict[str, float] = {
        "data.normal_test": 10000 if pair == "mnist-fashion-mnist" else 9020,
        "data.anomaly_test": 10000 if pair == "mnist-fashion-mnist" else 980,
        "classification.accuracy": 0.992 + 0.0006 * strength - 0.0004 * lambda_,
        "classification.f1_macro": 0.9918 + 0.0006 * strength - 0.0004 * lambda_,
        "calibration.alpha": 0.025,
        "calibration.false_reject_training": 0.034,
    }
    starts = {"mahalanobis": 0.93, "mlp_head": 0.9996, "energy": 0.995}
    gains = {"mahalanobis": 0.018, "mlp_head": -0.0003, "energy": 0.0006}
    for name in DETECTORS:
        auroc = starts[name] + gains[name] * strength
        cell |= {
            f"detectors.{name}.auroc": auroc,
            f"detectors.{name}.fpr95": 1 - auroc,
            f"detectors.{name}.false_reject": 0.025,
            f"detectors.{name}.false_accept": 1 - auroc,
        }
    noisy = [key for key in cell if not key.startswith("data.") and key != "calibration.alpha"]
    for key, add in zip(noisy, noise, strict=False):
        cell[key] = round(min(cell[key] + (add if "accept" not in key else abs(add)), 1.0), 4)
    return cell


def sets_of(grid: pd.DataFrame, losses: dict[str, float] | None = None) -> pd.DataFrame:
    """Return each detector on each set of anomalies, where lambda is 0 or 1.

    Args:
        grid: the cells; their AUROC is that on the pair's own anomalies.
        losses: set -> how much less the AUROC on it is.
    """
    losses = {"anomaly": 0.0} | (losses or {"rotated": 0.15, "uniform_noise": -0.0001})
    return pd.DataFrame(
        {name: cell[name] for name in ("pair", "lambda", "seed")}
        | {"detector": detector, "anomalies": anomalies}
        | {"auroc": cell[f"detectors.{detector}.auroc"] - loss, "fpr95": 0.1}
        for cell in grid.to_dict("records")
        if cell["lambda"] in (0.0, 1.0)
        for detector in DETECTORS
        for anomalies, loss in losses.items()
    )
