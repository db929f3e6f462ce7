"""Score every image with every detector, and set the thresholds on held-out normal images.

Reads   manifest    csv: where each image came from
        features    safetensors: the views and labels of every part
        gaussians   safetensors: the fitted Gaussians
        head        safetensors: the supervised head; about: `missing`, why there is none
        detectors   safetensors: all other fitted detectors
Writes  verdicts    csv: for each test image and detector: score, p-value, belongs
        scores      safetensors: `PART/DETECTOR` (n,) float32, `PART/predicted` and
                    `PART/labels` (n,) int64; about: the class names; for each detector its
                    calibrated threshold, that of its paper if it has one, and the one in force;
                    the detectors that are missing, and why
"""

from pathlib import Path

import numpy as np
import pandas as pd

from belong.calibration import thresholds as decide
from belong.detectors.combined import combined
from belong.detectors.registry import DETECTORS, stored_in
from belong.detectors.score_parts import HELD_OUT, TESTED, arrays_of_detectors, load_views
from belong.models import device
from belong.parameters import Parameters
from belong.runtime.progress import bar
from belong.runtime.storage import (
    load_about,
    load_arrays,
    load_csv,
    save_arrays,
    save_csv,
)
from stages.runner import run

Scores = dict[str, dict[str, np.ndarray]]


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
    values = Parameters.load(params)
    device.compute_repeatably(values.threads)
    names = load_about(features, "class_names")["class_names"]
    views = load_views(features)
    arrays = arrays_of_detectors(gaussians, head, detectors)
    missing = load_about(head).get("missing")
    absent = dict.fromkeys(stored_in("head"), missing) if missing else {}
    kinds = {name: kind for name, kind in DETECTORS.items() if name not in absent}
    made: Scores = {part: {} for part in views}
    with bar(len(kinds), "score", "detector") as progress:
        for name, kind in kinds.items():
            fitted = kind.from_arrays(arrays[name])
            for part, seen in views.items():
                made[part][name] = fitted.score(seen).numpy()
            progress.update()
    for part, scored in combined(
        made, HELD_OUT, values.combined.members, tail=values.combined.tail
    ).items():
        made[part]["combined"] = scored

    thresholds = decide.thresholds(
        made[HELD_OUT],
        {name: kind.threshold for name, kind in kinds.items() if kind.threshold is not None},
        alpha=values.calibration.alpha,
        in_force=values.calibration.threshold,
    )
    predicted = {part: seen.logits.argmax(dim=1).numpy() for part, seen in views.items()}
    tested = [part for part in TESTED if part in made]
    tables = [
        decide.table(made[part], made[HELD_OUT], thresholds, np.take(names, predicted[part]))
        for part in tested
    ]
    rows = load_csv(manifest, "part", "class_name", "source", as_text=True)
    whole = rows[rows["part"].isin(tested)].reset_index(drop=True)
    save_csv(verdicts, pd.concat([whole, pd.concat(tables, ignore_index=True)], axis=1))
    kept = {f"{part}/{name}": x for part, by_name in made.items() for name, x in by_name.items()}
    labels = load_arrays(features, *(f"{part}/labels" for part in (HELD_OUT, *tested)))
    kept |= labels | {f"{part}/predicted": predicted[part] for part in (HELD_OUT, *tested)}
    about = {"class_names": names, "alpha": values.calibration.alpha}
    save_arrays(scores, kept, about | {"thresholds": thresholds, "missing": absent})


if __name__ == "__main__":
    run(main)
