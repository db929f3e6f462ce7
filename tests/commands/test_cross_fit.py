"""`belong fit` with few images: each image is scored by a model fitted without it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import belong
from belong.calibration.cross_conformal import FOLDS, deal
from belong.commands.fit.cross_fit import Part, out_of_fold_scores
from belong.commands.fit.fitting import Fitting
from belong.commands.fit.plan import choose_calibration
from belong.commands.fit.settings import parameters
from belong.commands.main import main
from belong.data.dataset import DataSet
from belong.models.backbones.catalog import own_backbone
from belong.parameters import Parameters
from belong.prediction.rule_of_model import rule_of
from belong.runtime.errors import InputError
from tests.commands.test_plan import images

pytestmark = pytest.mark.pipeline

QUICK = {
    "train.epochs": 50, "autoencoder.epochs": 2, "detectors.code_iforest.trees": 5,
    "evaluate.resamples": 20, "derive.images": 8,
}  # fmt: skip
SIDE_PX = 36


class Colors(nn.Module):
    """A user's own backbone: the colors at nine places, and their squares."""

    side_px, mean, std = SIDE_PX, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(n, 3, h, w) -> (n, 54)."""
        colors = self.pool(x).flatten(1)
        return torch.cat((colors, colors.square()), dim=1)


def picture(rng: np.random.Generator, label: int) -> np.ndarray:
    """Return a noisy image (h, w, 3) uint8 of its class: red or green in one corner."""
    pixels = rng.normal(120, 30, (SIDE_PX, SIDE_PX, 3))
    pixels[:12, :12, label] += 60 + 10 * rng.normal()
    return pixels.clip(0, 255).astype(np.uint8)


def folder_of(top: Path, counts: tuple[int, ...], *, seed: int = 0, part: str = "") -> Path:
    rng = np.random.default_rng(seed)
    for label, count in enumerate(counts):
        class_folder = top / part / f"c{label}"
        class_folder.mkdir(parents=True)
        for place in range(count):
            Image.fromarray(picture(rng, label)).save(class_folder / f"{place}.png")
    return top


@pytest.fixture(scope="module")
def few_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("few"), (9, 8))


@pytest.fixture(scope="module")
def model(few_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> belong.Model:
    to = tmp_path_factory.mktemp("models") / "model"
    return belong.fit(few_photos, to, backbone=Colors(), settings=QUICK)


def test_few_images_give_a_model_whose_alpha_is_the_least_that_they_reach(
    model: belong.Model,
) -> None:
    facts = model.info
    assert (facts.n_calibration, facts.alpha) == (17, 0.05556)  # 1 / 18, rounded up
    assert facts.cross_conformal is not None
    assert (facts.cross_conformal.folds, facts.cross_conformal.tests_itself) == (FOLDS, True)
    assert facts.trained_on.images == {"normal_test": 17, "normal_train": 17}
    held_out = model.bundle.arrays["calibration"]
    assert {len(array) for array in held_out.values()} == {17}  # no half of its own


def test_the_model_says_how_it_was_calibrated_and_what_was_not_measured(
    model: belong.Model,
) -> None:
    text = " ".join(model.card.split())
    assert "all 17 training images calibrate the threshold, each scored by models fitted" in text
    assert "false rejects not measured; promised: 5.56%" in text
    assert "17 images, each classified by a network that was fitted without it" in text
    summary = json.loads((model.folder / "summary.json").read_text())
    assert summary["cross_conformal"] == {"folds": FOLDS, "tests_itself": True}
    assert summary["measured"]["false_reject"] is None
    assert summary["assessment"]["false_rejects"] is None
    assert summary["assessment"]["accuracy"]["of"] == 17
    low, high = model.info.measured.expected
    assert low == 0 < high
    assert "each scored out of fold" in (model.folder / "report.html").read_text()


def test_the_report_of_such_a_model_shows_no_rate_of_false_rejects(model: belong.Model) -> None:
    page = (model.folder / "report.html").read_text()
    assert "False rejects are not measured" in page
    (rate,) = re.findall(r"<dt>false rejects of combined[^<]*</dt><dd>([^<]*)</dd>", page)
    assert rate.startswith("not measured")
    assert 'data-chart="calibration"' not in page
    assert "They were not selected on these images." in page
    assert "measure the accuracy and the false rejects" not in page


def test_such_a_model_scores_images_and_rejects_what_is_far(
    model: belong.Model, few_photos: Path
) -> None:
    predictions = model.predict(few_photos)
    assert predictions.belongs.mean() > 0.8
    rule = rule_of(model.bundle, alpha=0.1)  # a moved threshold is one-sided, too
    assert rule.rejects_range([500, 500])[0] == 0
    noise = np.random.default_rng(9).integers(0, 256, (3, SIDE_PX, SIDE_PX, 3), np.uint8)
    assert not model.predict(255 - noise // 8).belongs.any()


def test_the_guarantees_of_such_a_model_are_called_approximate(model: belong.Model) -> None:
    names = model.class_names
    sentence = rule_of(model.bundle).sentence(names)
    assert sentence.endswith(
        "on average; approximately, as the training images calibrate this model"
    )
    per_class = rule_of(model.bundle, guarantee="per-class")  # 17 images: too few of each class
    assert not per_class.of_class
    assert per_class.sentence(names).startswith("at most 5.56% of the images that belong are rej")


@pytest.mark.parametrize(
    ("guarantee", "is_told"), [("marginal", True), ("training-conditional", False)]
)
def test_the_plan_tells_the_range_of_the_guarantee_on_average_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], guarantee: str, is_told: bool
) -> None:
    folder = folder_of(tmp_path / "own", (12, 12))
    words = ["fit", str(folder), "-o", str(tmp_path / "m"), "--plan", "--guarantee", guarantee]
    assert main([*words, "--backbone", "efficientnet_lite0"]) == 0
    assert ("for 95 of 100 models" in capsys.readouterr().err) == is_told


def test_the_plan_names_classes_without_a_threshold_of_their_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "own", (12, 30))
    words = ["fit", str(folder), "-o", str(tmp_path / "m"), "--plan", "--guarantee", "per-class"]
    assert main([*words, "--backbone", "efficientnet_lite0", "--alpha", "0.05"]) == 0
    plan = capsys.readouterr().err
    assert "the threshold of all classes decides for c0: one of its own needs 19 cal" in plan


def test_watch_checks_only_the_rate_of_such_a_model(model: belong.Model, few_photos: Path) -> None:
    outcome = belong.watch(few_photos, model=model)
    assert (outcome.analysis.law_limit, outcome.analysis.law_drift) == (None, None)
    assert outcome.analysis.expected[0] == 0
    assert "scores: not tested, as the training images calibrate this model;" in outcome.text


def test_with_a_test_folder_its_images_measure_and_the_others_calibrate(
    tmp_path: Path,
) -> None:
    folder_of(tmp_path / "own", (9, 8), part="train")
    folder_of(tmp_path / "own", (5, 4), seed=1, part="test")
    noise = np.random.default_rng(2).integers(0, 256, (10, SIDE_PX, SIDE_PX, 3), np.uint8)
    (tmp_path / "foreign").mkdir()
    for place, pixels in enumerate(noise):
        Image.fromarray(pixels).save(tmp_path / "foreign" / f"{place}.png")
    model = belong.fit(
        tmp_path / "own", tmp_path / "model", anomalies=tmp_path / "foreign",
        backbone=Colors(), settings=QUICK,
    )  # fmt: skip
    assert model.info.cross_conformal is not None
    assert not model.info.cross_conformal.tests_itself
    assert (model.info.n_calibration, model.info.measured.normal_images) == (17, 9)
    assert model.info.measured.anomalies == 2  # a fifth; the others train the supervised head
    assert model.info.assessment.sentences["false rejects"].startswith(("None of", "1 of", "2 of"))


def test_the_scores_of_an_image_come_from_the_images_of_other_folds_alone() -> None:
    rng = np.random.default_rng(0)
    pixels = np.stack([picture(rng, row % 2).transpose(2, 0, 1) for row in range(24)])
    labels = np.arange(24) % 2
    backbone = own_backbone(Colors())
    values = parameters(
        QUICK | {"network": "module", "detectors.feature_knn.k": 1, "detectors.hidden_knn.k": 1}
    )
    values = frozen(values)
    fitting = Fitting(values, ["c0", "c1"], torch.device("cpu"), backbone, is_quiet=True)

    def scored(images: np.ndarray) -> dict[str, np.ndarray]:
        vectors = backbone.vectors(torch.from_numpy(images)).numpy()
        part = Part(vectors, images, np.arange(24))
        return out_of_fold_scores(fitting, part, labels, derived={}, anomalies=None, seed=0)

    folds = deal(labels, count=FOLDS, rng=np.random.default_rng([0, 4]))
    other_pixels = pixels.copy()
    other_pixels[5] = 255 - other_pixels[5]
    before, after = scored(pixels), scored(other_pixels)
    is_mate = (folds == folds[5]) & (np.arange(24) != 5)
    for name in ("energy", "hidden_knn", "mahalanobis", "code_knn"):
        old, new = (x[f"normal/calibration/{name}"] for x in (before, after))
        np.testing.assert_array_equal(old[is_mate], new[is_mate])
        assert old[5] != new[5]
        assert (old[folds != folds[5]] != new[folds != folds[5]]).any()


def frozen(values: Parameters) -> Parameters:
    """Return the parameters of a frozen backbone whose weights are a module's own."""
    section = values.backbone.model_copy(update={"frozen": True, "weights": "module"})
    return values.model_copy(update={"backbone": section})


@pytest.mark.parametrize(
    ("data", "frozen", "requested", "alpha", "expected"),
    [
        (images(200, 200), True, "auto", None, ("split", 0.025)),
        (images(20, 20, 20, 20, 20), True, "auto", None, ("cross", 0.025)),
        (images(12, 12), True, "auto", None, ("cross", 0.04)),
        (images(12, 12), True, "auto", 0.1, ("cross", 0.1)),
        (images(60, 60, 60), True, "auto", None, ("cross", 0.025)),
        (images(60, 60, 60), True, "split", None, ("split", 0.05)),
        (images(60, 60, 60), False, "auto", None, ("split", 0.05)),
        (images(200, 200), True, "cross", 0.01, ("cross", 0.01)),
    ],
)
def test_where_images_are_few_all_of_them_calibrate(
    data: DataSet, frozen: bool, requested: str, alpha: float | None, expected: tuple[str, float]
) -> None:
    choice = choose_calibration(
        data, requested=requested, alpha=alpha or 0.025, own_alpha=alpha is not None,
        is_frozen=frozen, split=parameters({}).split,
    )  # fmt: skip
    assert choice == expected


@pytest.mark.parametrize(
    ("data", "frozen", "requested", "alpha", "message"),
    [
        (images(12, 12), True, "auto", 0.01, "alpha 0.01 needs at least 99 images to calibrate, "
         "got 24; the smallest possible alpha is 0.04"),
        (images(5, 5), True, "auto", None, "expected at least 11 training images, got 10; `belong "
         "find` ranks the images of a smaller folder"),
        (images(50, 50), False, "cross", None, "calibration: cross trains once for each fold: "
         "expected a frozen backbone, such as backbone='efficientnet_lite0', got a network that "
         "is trained as a whole"),
    ],
)  # fmt: skip
def test_what_cannot_be_calibrated_is_one_line(
    data: DataSet, frozen: bool, requested: str, alpha: float | None, message: str
) -> None:
    with pytest.raises(InputError) as error:
        choose_calibration(
            data, requested=requested, alpha=alpha or 0.025, own_alpha=alpha is not None,
            is_frozen=frozen, split=parameters({}).split,
        )  # fmt: skip
    assert str(error.value) == message


def test_copies_lower_the_promise_where_nobody_asked_for_it_and_are_refused_where_one_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "own", (7, 7))
    content = (folder / "c0" / "0.png").read_bytes()
    (folder / "c0" / "1.png").write_bytes(content)
    with pytest.raises(InputError, match=r"got 13; the smallest possible alpha is 0\.07143"):
        belong.fit(folder, tmp_path / "m", backbone=Colors(), settings=QUICK, alpha=0.067)
    capsys.readouterr()
    model = belong.fit(folder, tmp_path / "m", backbone=Colors(), settings=QUICK)
    assert (model.alpha, model.n_calibration) == (0.07143, 13)
    assert (
        "alpha 0.07143 is used, the smallest that 13 images can calibrate"
        in capsys.readouterr().err
    )


def test_the_plan_says_which_calibration_and_which_guarantee(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = folder_of(tmp_path / "own", (12, 12))
    words = ["fit", str(folder), "-o", str(tmp_path / "m"), "--plan"]
    assert main([*words, "--backbone", "efficientnet_lite0"]) == 0
    output = capsys.readouterr().err
    assert "calibration: cross-conformal" in output
    assert "the lowest rate that 24 images can promise (for 95 of 100 models fitted to" in output


def test_few_images_of_one_class_calibrate_too(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "own", (20,))
    model = belong.fit(folder, tmp_path / "m", backbone=Colors(), settings=QUICK)
    assert (model.alpha, model.n_calibration) == (0.04762, 20)
    assert model.info.learning_curve is None
