"""The stages on a folder of photos, above EfficientNet-Lite0 with the weights of its package."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

import belong
from belong.models.backbones.catalog import backbone_named
from belong.runtime.storage import load_arrays
from tests.small_bundle import QUICK, make_bundle

SIDE_PX = 40  # quicker than 224
CHANGES: Mapping[str, Mapping[str, object]] = {
    "backbone": {"weights": "pretrained", "frozen": True},
    "images": {"side_px": SIDE_PX},
    "split": {"calibration_fraction": 0.5},
    "derive": {"images": 4},
    "train": {"embedding": 8, "epochs": 40, "batch_size": 8, "learning_rate": 0.01},
    "calibration": {"alpha": 0.2},
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the stages on 60 dark photos, 60 light ones, and 6 that are half of each."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, low, count in (("ours/dark", 0, 60), ("ours/light", 150, 60), ("odd/half", 0, 6)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(low, low + 100, (SIDE_PX, SIDE_PX, 3), np.uint8)
            pixels[: SIDE_PX // 2] += 150 if name == "odd/half" else 0
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    values = YAML(typ="safe", pure=True).load(QUICK)
    values["network"] = "efficientnet_lite0"
    for section, changes in CHANGES.items():
        values[section] |= changes
    values["normal"]["path"] = str(folder / "ours")
    for name in ("anomaly", "unseen"):
        values[name]["path"] = str(folder / "odd")
    values["detectors"]["vim"]["principal"] = 4
    values["detectors"]["feature_knn"]["k"] = 5
    to = tmp_path_factory.mktemp("made")
    YAML().dump(values, to / "written.yaml")
    make_bundle(to, (to / "written.yaml").read_text(encoding="utf-8"))
    return to


def test_the_backbone_in_the_pipeline_and_in_the_model_is_the_one_of_the_package(
    pipeline: Path,
) -> None:
    published = backbone_named("efficientnet_lite0")
    model = belong.load_model(pipeline / "model")
    for arrays in (load_arrays(pipeline / "backbone"), model.bundle.arrays["backbone"]):
        assert arrays.keys() == published.arrays().keys()
        for name, array in published.arrays().items():
            np.testing.assert_array_equal(arrays[name], array)
    assert model.info.backbone == published.card
    assert f"efficientnet_lite0; weights: {published.card.weights[:30]}" in model.card


def test_the_model_scores_images_as_the_pipeline_did(pipeline: Path) -> None:
    model = belong.load_model(pipeline / "model", device="cpu")
    verdicts = pd.read_csv(pipeline / "verdicts")
    images = load_arrays(pipeline / "images", "normal/test/images")["normal/test/images"]
    predictions = model.predict(images.transpose(0, 2, 3, 1))
    test_rows = verdicts[verdicts["part"] == "normal/test"]
    assert len(test_rows) == len(images) == 24
    np.testing.assert_allclose(predictions.score, test_rows["combined_score"], rtol=1e-4)
    assert list(predictions.label) == list(test_rows["predicted_class"])
    assert (test_rows["predicted_class"] == test_rows["class_name"]).mean() > 0.9
