"""Score every image with every detector, and set the thresholds on held-out normal images.

Reads   manifest    csv: where each image came from
        features    safetensors: features, logits and labels of every part
        gaussians   safetensors: the fitted Gaussians
        head        safetensors: the supervised head
Writes  verdicts    csv: for each test image and detector: score, p-value, belongs
        scores      safetensors: `PART/DETECTOR` (n,) float32, `PART/predicted` and
                    `PART/labels` (n,) int64; about: the class names, and for each detector
                    its threshold of both kinds and the one in force
"""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from belong import conformal, device
from belong.artefacts import load_about, load_arrays, save_arrays, save_csv
from belong.detectors.registry import DETECTORS
from stages.params.score import Params
from stages.program import run

SCORED = ("normal/train", "normal/calibration", "normal/test", "anomaly/test")
TESTED = ("normal/test", "anomaly/test")


def main(
    params: Path,
    manifest: Path,
    features: Path,
    gaussians: Path,
    head: Path,
    verdicts: Path,
    scores: Path,
) -> None:
    """Score, calibrate, decide."""
    values = Params.load(params)
    device.compute_repeatably(values.threads)
    artefacts = {"mahalanobis": gaussians, "head": head}
    fitted = {
        name: detector.load(load_arrays(artefacts[detector.fitted]))
        for name, detector in DETECTORS.items()
    }
    names = load_about(features)["class_names"]
    arrays: dict[str, np.ndarray] = {}
    for part in SCORED:
        given = load_arrays(features, *(f"{part}/{x}" for x in ("features", "labels", "logits")))
        vectors = torch.from_numpy(given[f"{part}/features"])
        for name, detector in DETECTORS.items():
            arrays[f"{part}/{name}"] = detector.score(fitted[name], vectors).numpy()
        arrays[f"{part}/predicted"] = given[f"{part}/logits"].argmax(axis=1)
        arrays[f"{part}/labels"] = given[f"{part}/labels"]

    alpha = values.calibration.alpha
    thresholds = {}
    for name, detector in DETECTORS.items():
        fixed = detector.threshold
        training, held_out = arrays[f"normal/train/{name}"], arrays[f"normal/calibration/{name}"]
        both = {
            "training": float(np.quantile(training, 1 - alpha)) if fixed is None else fixed,
            "calibrated": conformal.threshold(held_out, alpha=alpha),
        }
        thresholds[name] = both | {"in_force": both[values.calibration.threshold]}

    tables = [verdicts_of(part, arrays, thresholds, names) for part in TESTED]
    rows = pd.read_csv(manifest, usecols=["part", "class_name", "source"])
    whole = rows[rows["part"].isin(TESTED)].reset_index(drop=True)
    save_csv(verdicts, pd.concat([whole, pd.concat(tables, ignore_index=True)], axis=1))
    save_arrays(scores, arrays, {"class_names": names, "alpha": alpha, "thresholds": thresholds})


def verdicts_of(
    part: str,
    arrays: dict[str, np.ndarray],
    thresholds: dict[str, dict[str, float]],
    names: list[str],
) -> pd.DataFrame:
    """Return one row per image of `part`: its predicted class, and what each detector says."""
    columns: dict[str, np.ndarray] = {
        "predicted_class": np.array(names)[arrays[f"{part}/predicted"]]
    }
    for name, kinds in thresholds.items():
        scores = arrays[f"{part}/{name}"]
        columns[f"{name}_score"] = scores
        columns[f"{name}_p_value"] = conformal.p_values(
            arrays[f"normal/calibration/{name}"], scores
        )
        columns[f"{name}_belongs"] = scores <= kinds["in_force"]
    return pd.DataFrame(columns)


if __name__ == "__main__":
    run(main)
