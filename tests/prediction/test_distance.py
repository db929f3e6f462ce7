"""The unit of `distance`: 1 is the limit that is calibrated on held-out images."""

from pathlib import Path

import numpy as np
import torch

from belong.prediction.bundle import Bundle
from belong.prediction.predictor import Predictor
from tests.untrained_bundle import save_untrained

CPU = torch.device("cpu")


def test_the_distance_is_the_one_in_thresholds_over_its_calibrated_limit(tmp_path: Path) -> None:
    # The means are 0, the covariances 1 and the thresholds 1: a distance is the features' length.
    save_untrained(tmp_path / "model")
    bundle = Bundle.load(tmp_path / "model")
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28), np.uint8)
    scored = Predictor(bundle, device=CPU).score(images)
    assert bundle.manifest.distance_limit == 2
    lengths = np.sqrt(np.square(scored.features.astype(np.float64)).sum(axis=1))
    np.testing.assert_allclose(scored.distance, lengths / 2, rtol=1e-5)
    assert scored.distance.dtype == np.float32
