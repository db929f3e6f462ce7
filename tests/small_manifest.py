"""The manifest of a model of two classes."""

import numpy as np

from belong.data.image_form import ImageForm
from belong.evaluation.assessment import Answers, Assessment, Promise, Training, assess
from belong.prediction.manifest import Manifest, Measured, TrainedOn


def a_manifest() -> Manifest:
    """Return a manifest that names no file yet."""
    return Manifest(
        format=2,
        created_by={"belong": "0.1.0"},
        class_names=["cat", "dog"],
        form=ImageForm(
            channels=1, height=28, width=28, color="grey", resize="cover",
            background=(255, 255, 255), max_pixels=1000,
        ),
        network="lenet",
        shape={"classes": 2},
        backbone=None,
        detector="energy",
        members=[],
        left_out={},
        tail=0.1,
        alpha=0.025,
        n_calibration=3,
        threshold=0.1,
        distance_limit=2.0,
        threshold_from="calibrated",
        measured=Measured(
            accuracy=0.5, normal_images=2, anomalies=0, auroc=None, false_reject=0.5,
            expected=(0.0, 0.5), false_accept=None,
        ),
        trained_on=TrainedOn(
            normal="pets", anomalies=None, images={"normal_train": 4}, weight=1.0, seed=0
        ),
        files={},
        assessment=an_assessment(),
    )  # fmt: skip


def an_assessment() -> Assessment:
    """Return an assessment: of two images one is classified correctly, the other is rejected."""
    answers = Answers(
        class_names=("cat", "dog"),
        labels=np.array([0, 1]),
        predicted=np.array([0, 0]),
        accepted=np.array([True, False]),
        anomalies=np.empty(0, bool),
        synthetic={"inverted": np.zeros(2, bool)},
        ranking=None,
    )
    training = Training(np.array([2, 2]), lacks_weights=False)
    return assess(answers, Promise(0.025, (0.0, 0.5)), training)
