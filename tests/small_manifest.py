"""What a model of two classes says of itself."""

from belong.data.image_form import ImageForm
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
        backbone=None,
        shape={"classes": 2},
        detector="energy",
        members=[],
        tail=0.1,
        alpha=0.025,
        n_calibration=3,
        threshold=0.1,
        threshold_from="calibrated",
        measured=Measured(
            accuracy=0.5, normal_images=2, anomalies=0, auroc=None, false_reject=0.5,
            expected=(0.0, 0.5), false_accept=None,
        ),
        trained_on=TrainedOn(
            normal="pets", anomalies=None, images={"normal_train": 4}, weight=1.0, seed=0
        ),
        files={},
    )  # fmt: skip
