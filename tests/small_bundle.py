"""Models for tests: one with consistent dummy arrays, and one fitted to real digits."""

import json
from pathlib import Path

import numpy as np

from belong.prediction.bundle import Bundle
from stages import (
    backbone,
    bundle,
    derive,
    embed,
    extract,
    fit_detectors,
    fit_mahalanobis,
    further,
    pack,
    score,
    split,
    train,
    train_autoencoder,
    train_head,
)
from tests.small_manifest import a_manifest
from tests.small_report import PARAMS

METRICS = {
    "data": {"normal_test": 500, "anomaly_test": 300, "normal_train": 1600},
    "classification": {"accuracy": 0.75},
    "detectors": {
        "combined": {
            "auroc": 0.875,
            "auroc_low": 0.85,
            "auroc_high": 0.9,
            "false_reject": 0.03,
            "false_accept": 0.125,
        }
    },
}
FILES = ("network", "detectors", "calibration", "training")


def a_bundle() -> Bundle:
    """Return a consistent model of two classes, with arrays of three numbers."""
    return Bundle(a_manifest(), {name: {"x": np.arange(3.0)} for name in FILES})


QUICK = PARAMS.replace("  epochs: 3", "  epochs: 1").replace("  trees: 50", "  trees: 5")


def make_bundle(to: Path, text: str = QUICK) -> Path:
    """Run the stages in the folder `to`, except evaluation and figures; return the model.

    `text` is that of params.yaml.
    """
    params, images = to / "params.yaml", to / "images"
    params.write_text(text, encoding="utf-8")
    pack.main(params, to / "rows", to / "unreadable", to / "ignored", to / "pack")
    split.main(params, to / "rows", to / "pack", to / "manifest", images)
    derive.main(params, images, to / "derived")
    backbone.main(params, to / "backbone")
    further.main(params, images, to / "further")
    pixels = images, to / "derived", to / "further"
    embed.main(params, to / "backbone", *pixels, to / "embedded")
    inputs = to / "backbone", images, to / "embedded"
    train.main(params, *inputs, to / "history", to / "network")
    train_autoencoder.main(params, images, to / "autoencoder_history", to / "autoencoder")
    networks = to / "network", to / "autoencoder"
    seen_by = to / "backbone", *networks
    extract.main(params, *seen_by, *pixels, to / "embedded", to / "features")
    fit_mahalanobis.main(params, to / "features", to / "gaussians")
    train_head.main(params, to / "features", to / "head_history", to / "head")
    fit_detectors.main(params, to / "network", to / "features", to / "detectors")
    fitted = to / "gaussians", to / "head", to / "detectors"
    score.main(params, to / "manifest", to / "features", *fitted, to / "verdicts", to / "scores")
    (to / "metrics").write_text(json.dumps(METRICS), encoding="utf-8")
    bundle.main(
        params, to / "backbone", images, *networks, to / "features", *fitted, to / "scores",
        to / "metrics", to / "model",
    )  # fmt: skip
    return to / "model"
