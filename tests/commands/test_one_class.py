"""`belong fit` on one class: verdicts without a classifier, and the same calibration and files."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from torch import Tensor, nn

import belong
from belong.commands.fit.one_class import ABOVE_A_BACKBONE, FROM_SCRATCH, untrained
from belong.commands.main import main
from belong.data.idx import read
from belong.models.backbones.catalog import own_backbone
from belong.prediction.model_card import card
from belong.runtime.errors import InputError
from tests.imports import ROOT

pytestmark = pytest.mark.pipeline

QUICK: dict[str, object] = {
    "autoencoder.epochs": 5,
    "derive.images": 20,
    "detectors.code_iforest.trees": 20,
    "evaluate.resamples": 20,
}
OF_DIGITS = 150


class Colors(nn.Module):
    """A fast backbone: the mean colors of 16 squares."""

    mean, std, side_px = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 36

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write digits into one flat folder, the first one twice."""
    folder = tmp_path_factory.mktemp("in") / "good"
    folder.mkdir()
    images = read(ROOT / "tests" / "data" / "mnist-small").images[:OF_DIGITS]
    for place, image in enumerate(images):
        Image.fromarray(image[0]).save(folder / f"{place:03}.png")
    Image.fromarray(images[0][0]).save(folder / "copy.png")
    return folder


@pytest.fixture(scope="module")
def model(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> belong.Model:
    return belong.fit(digits, tmp_path_factory.mktemp("models") / "one", alpha=0.1, settings=QUICK)


def test_a_flat_folder_of_good_images_gives_a_model_of_one_class(model: belong.Model) -> None:
    assert model.class_names == ("good",)
    assert tuple(model.info.members) == FROM_SCRATCH
    assert model.info.left_out == {}


def test_metrics_that_need_classes_are_left_out_with_the_reason(model: belong.Model) -> None:
    assessment = model.info.assessment
    assert (
        model.info.measured.accuracy,
        assessment.accuracy,
        assessment.chance,
        assessment.classifier,
    ) == (None,) * 4
    sentences = [*assessment.sentences.values(), assessment.verdict]
    assert sentences[0] == (
        "The images have one class, so that no classifier is trained and no accuracy is measured."
    )
    assert not any("as a classifier" in sentence.lower() for sentence in sentences)
    assert "\naccuracy" not in card(model.info, "one")
    page = (model.folder / "report.html").read_text(encoding="utf-8")
    assert "not measured: the images have one class" in page
    assert "as a classifier" not in page


def test_good_images_belong_and_others_do_not(model: belong.Model, digits: Path) -> None:
    others = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), np.uint8)
    assert not model.predict(others).belongs.any()
    predictions = model.predict(sorted(digits.glob("*.png")))
    assert predictions.belongs.mean() > 0.8  # of all of them; 0.9 of fresh ones is promised
    assert set(predictions.to_pandas()["class"]) == {"good"}


def test_the_graph_gives_the_verdicts_of_the_model(model: belong.Model, tmp_path: Path) -> None:
    belong.export(model.folder, tmp_path / "one.onnx")
    images = read(ROOT / "tests" / "data" / "mnist-small").images[-30:].transpose(0, 2, 3, 1)
    session = onnxruntime.InferenceSession(tmp_path / "one.onnx")
    (belongs,) = session.run(["belongs"], {session.get_inputs()[0].name: images})
    expected = model.predict(images).belongs
    assert belongs.tolist() == expected.tolist()


def test_score_names_no_grade_of_a_classifier(
    model: belong.Model, digits: Path, tmp_path: Path
) -> None:
    words = ["score", str(digits), "--model", str(model.folder), "-o", str(tmp_path / "out")]
    assert main(words) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["model"]["grade"] == {"classifier": None, "judge": "usable with care"}
    assert summary["classes"]["good"]["belongs"] == summary["belongs"]


def test_copies_are_said_once_and_a_required_accuracy_is_not_met(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = [f"--set={key}={value}" for key, value in QUICK.items()]
    words = ["fit", str(digits), "-o", str(tmp_path / "one"), "--alpha=0.1", *settings]
    assert main([*words, "--require", "accuracy=0.9"]) == 5
    lines = capsys.readouterr().err.splitlines()
    assert sum("151 images; 1 excluded as duplicates" in line for line in lines) == 1
    assert lines[-1].endswith("accuracy was not measured: the images have one class")


def test_a_flat_folder_of_three_images_says_how_many_are_expected(tmp_path: Path) -> None:
    (tmp_path / "few").mkdir()
    for place in range(3):
        Image.new("L", (28, 28), 9 * place).save(tmp_path / "few" / f"{place}.png")
    with pytest.raises(InputError, match="class few has 3 training images; expected at least"):
        belong.fit(tmp_path / "few", tmp_path / "model")


def test_above_a_backbone_one_class_needs_no_training(tmp_path: Path) -> None:
    (tmp_path / "ok").mkdir()
    for seed in range(120):
        pixels = np.random.default_rng(seed).integers(0, 80, (48, 48, 3)) + np.array((20, 40, 120))
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "ok" / f"{seed:03}.png")
    model = belong.fit(
        tmp_path / "ok", tmp_path / "model", alpha=0.1, backbone=Colors(), settings=QUICK
    )
    assert tuple(model.info.members) == ABOVE_A_BACKBONE
    red = np.random.default_rng(0).integers(0, 80, (10, 48, 48, 3)) + np.array((120, 40, 20))
    assert not model.predict(red.astype(np.uint8)).belongs.any()


def test_the_features_are_both_signs_of_the_principal_components(
    generator: torch.Generator,
) -> None:
    vectors = np.random.default_rng(0).normal(size=(60, 48)) * np.arange(1, 49)
    inputs = torch.from_numpy(np.tile(vectors, 3)).float()
    network = untrained(
        "frozen", inputs, embedding=10, backbone=own_backbone(Colors()), generator=generator
    )
    features, logits = network(inputs)
    positive, negative = features.detach().split(5, dim=1)
    components = PCA(5).fit_transform(vectors) / float(network.arrays()["scale"][0])
    assert np.allclose((positive - negative).abs().numpy(), np.abs(components), atol=1e-4)
    assert not logits.detach().any()


def test_a_backbone_that_would_be_trained_is_refused(generator: torch.Generator) -> None:
    with pytest.raises(InputError, match=r"backbone\.frozen: expected true, got false"):
        untrained("fine_tuned", torch.zeros(2, 3, 36, 36, dtype=torch.uint8), embedding=8,
                  backbone=own_backbone(Colors()), generator=generator)  # fmt: skip
