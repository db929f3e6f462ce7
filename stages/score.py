"""Score every image with every detector, and set the thresholds on held-out normal images.

Reads   manifest    csv: where each image came from
        features    safetensors: the views and labels of every part
        gaussians   safetensors: the fitted Gaussians
        head        safetensors: the supervised head
        detectors   safetensors: all other fitted detectors
Writes  verdicts    csv: for each test image and detector: score, p-value, belongs
        scores      safetensors: `PART/DETECTOR` (n,) float32, `PART/predicted` and
                    `PART/labels` (n,) int64; about: the class names, and for each detector
                    its calibrated threshold, that of its paper if it has one, and the one in
                    force
"""

from pathlib import Path

import numpy as np
import pandas as pd

from belong import conformal, device
from belong.artefacts import load_about, load_arrays, load_csv, save_arrays, save_csv
from belong.combination import Combination
from belong.derived import DERIVED
from belong.detectors.registry import DETECTORS, GAUSSIANS, HEAD
from belong.progress import bar
from belong.views import Views
from stages.params.score import Params
from stages.program import run

TESTED = ("normal/test", "anomaly/test")
HELD_OUT = "normal/calibration"
LABELLED = (HELD_OUT, *TESTED)
SCORED = (*LABELLED, *(f"derived/{kind}" for kind in DERIVED))

Arrays = dict[str, np.ndarray]


def main(
    params: Path,
    manifest: Path,
    features: Path,
    gaussians: Path,
    head: Path,
    detectors: Path,
    verdicts: Path,
    scores: Path,
) -> None:
    """Score, calibrate, decide."""
    values = Params.load(params)
    device.compute_repeatably(values.threads)
    names = load_about(features, "class_names")["class_names"]
    given = load_arrays(features, *(name for part in SCORED for name in Views.names(part)))
    views = {part: Views.from_arrays(given, part) for part in SCORED}
    arrays = load_arrays(features, *(f"{part}/labels" for part in LABELLED))
    for part in LABELLED:
        arrays[f"{part}/predicted"] = given[f"{part}/logits"].argmax(axis=1)
    fitted = arrays_of_detectors(gaussians, head, detectors)
    with bar(len(DETECTORS), "score", "detector") as progress:
        for name, detector in DETECTORS.items():
            loaded = detector.load(fitted[name])
            for part in SCORED:
                arrays[f"{part}/{name}"] = detector.score(loaded, views[part]).numpy()
            progress.update()
    combine(arrays, values.combined.members, values.combined.tail)

    alpha, force = values.calibration.alpha, values.calibration.threshold
    thresholds = {}
    for name in (*DETECTORS, "combined"):
        kinds = {"calibrated": conformal.threshold(arrays[f"{HELD_OUT}/{name}"], alpha=alpha)}
        own = DETECTORS[name].threshold if name in DETECTORS else None
        if own is not None:
            kinds["training"] = own
        thresholds[name] = kinds | {"in_force": kinds.get(force, kinds["calibrated"])}

    tables = [verdicts_of(part, arrays, thresholds, names) for part in TESTED]
    rows = load_csv(manifest, "part", "class_name", "source", as_text=True)
    whole = rows[rows["part"].isin(TESTED)].reset_index(drop=True)
    save_csv(verdicts, pd.concat([whole, pd.concat(tables, ignore_index=True)], axis=1))
    save_arrays(scores, arrays, {"class_names": names, "alpha": alpha, "thresholds": thresholds})


def arrays_of_detectors(gaussians: Path, head: Path, detectors: Path) -> dict[str, Arrays]:
    """Return for each detector the arrays that it is loaded from."""
    arrays: dict[str, Arrays] = {name: {} for name in DETECTORS}
    for name, array in load_arrays(detectors).items():
        detector, key = name.split("/")
        arrays[detector][key] = array
    return (
        arrays
        | dict.fromkeys(GAUSSIANS, load_arrays(gaussians))
        | dict.fromkeys(HEAD, load_arrays(head))
    )


def combine(arrays: Arrays, members: list[str], tail: float) -> None:
    """Add `combined`: every other calibration image fits it, and the rest calibrate it.

    The images that set its threshold have no part in its p-values, so that they and new normal
    images are alike to it, as the guarantee wants.
    """
    fits = {name: arrays[f"{HELD_OUT}/{name}"][::2] for name in members}
    combination = Combination.fit(fits, tail=tail)
    rest = {name: arrays[f"{HELD_OUT}/{name}"][1::2] for name in members}
    arrays[f"{HELD_OUT}/combined"] = combination.score(rest)
    for part in {name.rpartition("/")[0] for name in arrays} - {HELD_OUT}:
        tested = {name: arrays[f"{part}/{name}"] for name in members}
        arrays[f"{part}/combined"] = combination.score(tested)


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
