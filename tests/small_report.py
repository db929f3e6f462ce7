"""A small run to make the report's page of: real images, scored by simple rules on their pixels.

Nothing is trained, so that it is made in seconds; the stages before and after are the real ones.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve

from belong import conformal
from belong.artefacts import load_about, load_arrays, load_csv, save_arrays, save_csv
from belong.derived import DERIVED
from stages import derive, evaluate, report_page, split
from tests.imports import ROOT

DATA = ROOT / "tests" / "data"
PARAMS = (
    (DATA / "params.yaml")
    .read_text(encoding="utf-8")
    .replace("path: tests/data", f"path: {DATA}")
)  # fmt: skip
ALPHA = 0.025
ALPHAS = (0.01, 0.02, 0.05, 0.1, 0.2)
LABELLED = ("normal/calibration", "normal/test", "anomaly/test")


def make_inputs(to: Path) -> None:
    """Make all that the stage report_page reads."""
    params, images = to / "params.yaml", to / "images"
    params.write_text(PARAMS, encoding="utf-8")
    split.main(params, to / "manifest", images)
    derive.main(params, images, to / "derived")
    save_scores(images, to / "derived", to / "scores")
    save_csv(to / "history", pd.DataFrame({"epoch": [1], "loss": [0.5]}))
    made = to / "metrics", to / "plots"
    evaluate.main(params, to / "manifest", to / "history", to / "scores", *made)
    save_curves(to / "scores", to / "plots")


def make_page(to: Path) -> Path:
    """Write the page of these inputs with the stage; return its path."""
    page = to / "report.html"
    read = to / "manifest", to / "images", to / "scores", to / "metrics", to / "plots"
    report_page.main(to / "params.yaml", ROOT / "dvc.yaml", *read, to / "times", page)
    return page


def save_scores(images: Path, derived: Path, scores: Path) -> None:
    """Score every image by its distance to the nearest mean image, by its ink, and by both."""
    arrays, names = load_arrays(images), load_about(images)["class_names"]
    train, labels = arrays["normal/train/images"] / 255, arrays["normal/train/labels"]
    means = np.stack([train[labels == label].mean(axis=0).ravel() for label in range(len(names))])
    seen = {part: arrays[f"{part}/images"] for part in LABELLED}
    seen |= {f"derived/{kind}": load_arrays(derived)[f"derived/{kind}/images"] for kind in DERIVED}
    made: dict[str, np.ndarray] = {}
    for part, pictures in seen.items():
        vectors = pictures.reshape(len(pictures), -1) / 255
        distances = ((vectors[:, None] - means) ** 2).mean(axis=2)
        made[f"{part}/mahalanobis"] = distances.min(axis=1)
        made[f"{part}/reconstruction"] = vectors.mean(axis=1)
        made[f"{part}/combined"] = distances.min(axis=1) + vectors.mean(axis=1)
        if part in LABELLED:
            made[f"{part}/predicted"] = distances.argmin(axis=1)
            made[f"{part}/labels"] = arrays[f"{part}/labels"]
    thresholds = {}
    for name in ("mahalanobis", "reconstruction", "combined"):
        limit = conformal.threshold(made[f"normal/calibration/{name}"], alpha=ALPHA)
        thresholds[name] = {"calibrated": limit, "in_force": limit}
    thresholds["mahalanobis"]["training"] = 0.05
    save_arrays(scores, made, {"class_names": names, "alpha": ALPHA, "thresholds": thresholds})


def save_curves(scores: Path, plots: Path) -> None:
    """Write the precision-recall curves and the calibration curve of each detector."""
    arrays, rows = load_arrays(scores), []
    for name in load_about(scores)["thresholds"]:
        normal, anomaly, held_out = (
            arrays[f"{part}/{name}"] for part in ("normal/test", "anomaly/test", LABELLED[0])
        )
        is_normal = np.repeat([True, False], [len(normal), len(anomaly)])
        both = np.concatenate((normal, anomaly))
        tables = []
        for kind, truth, order in (("normal", is_normal, -both), ("anomaly", ~is_normal, both)):
            precision, recall, _ = precision_recall_curve(truth, order)
            columns = {"kind": kind, "recall": recall, "precision": precision}
            tables.append(pd.DataFrame(columns))
        save_csv(plots / "pr" / f"{name}.csv", pd.concat(tables))
        for alpha in ALPHAS:
            rejected = float(np.mean(normal > conformal.threshold(held_out, alpha=alpha)))
            low, high = conformal.promised_range(len(held_out), len(normal), alpha=alpha)
            rows.append((name, alpha, rejected, low, high))
    names = ["detector", "alpha", "false_reject", "expected_low", "expected_high"]
    save_csv(plots / "calibration_curve.csv", pd.DataFrame(rows, columns=names))


def rename_classes(to: Path, new: dict[str, str]) -> None:
    """Give the classes of all images other names."""
    manifest = load_csv(to / "manifest")
    names = manifest["class_name"].astype(str)
    save_csv(to / "manifest", manifest.assign(class_name=names.replace(new)))
    about = load_about(to / "scores")
    about["class_names"] = [new.get(name, name) for name in about["class_names"]]
    save_arrays(to / "scores", load_arrays(to / "scores"), about)
