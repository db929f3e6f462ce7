"""A small run for the report's page: real images, scored by simple rules on their pixels.

Nothing is trained, so that it is made in seconds; the stages before and after are the real ones.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from belong.calibration import conformal
from belong.data.synthetic_anomalies import DERIVED
from belong.evaluation.assessment import Answers, Assessment, Promise, Ranking, Training, assess
from belong.runtime.storage import (
    load_about,
    load_arrays,
    load_csv,
    save_arrays,
    save_csv,
    save_text,
)
from stages import derive, evaluate, pack, report_page, split
from tests.imports import ROOT
from tests.small_manifest import a_manifest

DATA = ROOT / "tests" / "data"
PARAMS = (
    (DATA / "params.yaml")
    .read_text(encoding="utf-8")
    .replace("path: tests/data", f"path: {DATA}")
)  # fmt: skip
ALPHA = 0.025
TESTED = ("normal/test", "anomaly/test")
LABELLED = ("normal/calibration", *TESTED)


def make_inputs(to: Path) -> None:
    """Make all inputs of the stage report_page."""
    params, images = to / "params.yaml", to / "images"
    params.write_text(PARAMS, encoding="utf-8")
    lists = to / "unreadable", to / "ignored"
    pack.main(params, to / "rows", *lists, to / "pack")
    split.main(params, to / "rows", to / "pack", to / "manifest", images)
    derive.main(params, images, to / "derived")
    save_scores(images, to / "derived", to / "scores")
    save_csv(to / "history", pd.DataFrame({"epoch": [1], "loss": [0.5]}))
    save_features(images, to / "features", to / "gaussians")
    vectors = to / "features", to / "gaussians"
    outputs = to / "compared", to / "metrics", to / "plots"
    evaluate.main(params, to / "manifest", to / "history", *vectors, to / "scores", *outputs)


def make_page(to: Path) -> Path:
    """Write the page of these inputs with the stage; return its path."""
    page = to / "report.html"
    save_bundle(to)
    read = (
        to / "manifest",
        to / "images",
        to / "scores",
        to / "metrics",
        to / "plots",
        to / "bundle",
    )
    report_page.main(to / "params.yaml", ROOT / "dvc.yaml", *read, to / "times", page)
    return page


def save_bundle(to: Path) -> None:
    """Write the part of a model that the page reads: its manifest with the assessment."""
    model = a_manifest().model_copy(update={"assessment": assessment_of(to)})
    save_text(to / "bundle" / "manifest.json", model.text)


def assessment_of(to: Path) -> Assessment:
    """Return how good the run is, by the verdicts of its detector `combined`."""
    scores, about = load_arrays(to / "scores"), load_about(to / "scores")
    limit = about["thresholds"]["combined"]["in_force"]
    numbers = json.loads((to / "metrics").read_text(encoding="utf-8"))["detectors"]["combined"]
    verdicts = {
        name.removesuffix("/combined"): one <= limit
        for name, one in scores.items()
        if name.endswith("/combined")
    }
    is_ranked = numbers["auroc"] is not None
    answers = Answers(
        class_names=about["class_names"],
        labels=scores["normal/test/labels"],
        predicted=scores["normal/test/predicted"],
        accepted=verdicts["normal/test"],
        anomalies=verdicts.get("anomaly/test", np.empty(0, bool)),
        synthetic={
            part.removeprefix("derived/"): one
            for part, one in verdicts.items()
            if part.startswith("derived/")
        },
        ranking=Ranking(*(numbers[f"auroc{end}"] for end in ("", "_low", "_high")))
        if is_ranked
        else None,
    )
    training = Training(np.full(len(about["class_names"]), 160), lacks_weights=False)
    return assess(answers, Promise(ALPHA, (0.0, 0.06)), training)


def save_scores(images: Path, derived: Path, scores: Path) -> None:
    """Score every image by its distance to the nearest mean image, by its ink, and by both."""
    arrays, names = load_arrays(images), load_about(images)["class_names"]
    train, labels = arrays["normal/train/images"] / 255, arrays["normal/train/labels"]
    means = np.stack([train[labels == label].mean(axis=0).ravel() for label in range(len(names))])
    images_of = {part: arrays[f"{part}/images"] for part in LABELLED}
    images_of |= {
        f"derived/{kind}": load_arrays(derived)[f"derived/{kind}/images"] for kind in DERIVED
    }
    score_arrays: dict[str, np.ndarray] = {}
    for part, pictures in images_of.items():
        vectors = pictures.reshape(len(pictures), -1) / 255
        distances = ((vectors[:, None] - means) ** 2).mean(axis=2)
        score_arrays[f"{part}/mahalanobis"] = distances.min(axis=1)
        score_arrays[f"{part}/reconstruction"] = vectors.mean(axis=1)
        score_arrays[f"{part}/combined"] = distances.min(axis=1) + vectors.mean(axis=1)
        if part in LABELLED:
            score_arrays[f"{part}/predicted"] = distances.argmin(axis=1)
            score_arrays[f"{part}/labels"] = arrays[f"{part}/labels"]
    for kind, divisor in (("confidence", 0.5), ("raw_confidence", 1.0)):
        score_arrays[f"normal/test/{kind}"] = np.exp(
            -score_arrays["normal/test/mahalanobis"] / divisor
        )
    thresholds = {}
    for name in ("mahalanobis", "reconstruction", "combined"):
        limit = conformal.threshold(score_arrays[f"normal/calibration/{name}"], alpha=ALPHA)
        thresholds[name] = {"calibrated": limit, "in_force": limit}
    thresholds["mahalanobis"]["training"] = 0.05
    about = {"class_names": names, "alpha": ALPHA, "thresholds": thresholds}
    about["members"] = {
        "mahalanobis": {"auroc": 0.75, "low": 0.7, "left_out": None},
        "reconstruction": {"auroc": 0.5, "low": 0.4, "left_out": "it is <blind>"},
    }
    missing = {"mlp_head": "there is no anomaly to train it with"}
    save_arrays(scores, score_arrays, about | {"missing": missing, "temperature": 0.5})


def save_features(images: Path, features: Path, gaussians: Path) -> None:
    """Save the pixels as the features."""
    arrays = load_arrays(images)
    pixels = {
        part: arrays[f"{part}/images"].reshape(len(arrays[f"{part}/images"]), -1) / 255
        for part in ("normal/train", *TESTED)
    }
    labels = arrays["normal/train/labels"]
    classes = range(len(load_about(images)["class_names"]))
    means = [pixels["normal/train"][labels == label].mean(axis=0) for label in classes]
    save_arrays(features, {f"{part}/features": pixels[part] for part in TESTED})
    save_arrays(gaussians, {"means": np.stack(means)})


def rename_classes(to: Path, new: dict[str, str]) -> None:
    """Give the classes of all images other names."""
    manifest = load_csv(to / "manifest")
    names = manifest["class_name"].astype(str)
    save_csv(to / "manifest", manifest.assign(class_name=names.replace(new)))
    about = load_about(to / "scores")
    about["class_names"] = [new.get(name, name) for name in about["class_names"]]
    save_arrays(to / "scores", load_arrays(to / "scores"), about)
