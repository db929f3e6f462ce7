"""`belong learn`: fewer errors of the corrected kind, the same guarantee, plain errors."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from torch import Tensor, nn

import belong
from belong.calibration.sample_size import LEAST_NEW
from belong.commands.learn.learn import LearnResult
from belong.commands.learn.review import read_review
from belong.commands.main import main
from belong.data.idx import read
from belong.prediction.learning_data import NAME
from belong.prediction.model import Model, load_model
from belong.runtime.errors import InputError
from belong.runtime.text import exact
from tests.imports import ROOT

OURS, NEW, SIDE = (0, 1), 2, 40
pytestmark = pytest.mark.pipeline

ALPHA = 0.2
FEW = 15  # images of a class that train and calibrate


class Averages(nn.Module):
    """A user's own backbone: the image averaged over squares."""

    mean, std, side_px = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), SIDE

    def forward(self, images: Tensor) -> Tensor:
        squares: Tensor = nn.functional.avg_pool2d(images.mean(dim=1, keepdim=True), 4)
        return squares.flatten(1)


def write(folder: Path, images: np.ndarray, name: str = "") -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"{name}{place:03}.png" for place in range(len(images))]
    for file, image in zip(files, images, strict=True):
        Image.fromarray(image[0]).resize((SIDE, SIDE)).save(folder / file)
    return files


@dataclass(frozen=True)
class Photos:
    """The folders of the models and images.

    Attributes:
        folder: `frozen`, `few` (which few images train and calibrate), `one` (of one class) and
            `whole` are models, `ours` trained them, `new` holds twos and clothes.
        twos, clothes: the names in `new`; of each the first half is reviewed.
    """

    folder: Path
    twos: list[str]
    clothes: list[str]

    def model(self, kind: str) -> Model:
        backbone = None if kind == "whole" else Averages()
        return load_model(self.folder / kind, device="cpu", backbone=backbone)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Photos:
    to = tmp_path_factory.mktemp("learn")
    digits, clothes = (
        read(ROOT / "tests/data" / name) for name in ("mnist-small", "fashion-mnist-small")
    )
    for label in OURS:
        write(to / "ours" / str(label), digits.images[digits.labels == label][:120])
        write(to / "some" / str(label), digits.images[digits.labels == label][:FEW])
    twos = write(to / "new", digits.images[digits.labels == NEW][:60], "two")
    foreign = write(to / "new", clothes.images[clothes.labels == 1][:80], "trousers")
    settings = {"train.epochs": 20, "images.side_px": SIDE, "threads": 1, "device": "cpu"}
    belong.fit(to / "ours", to / "frozen", alpha=ALPHA, backbone=Averages(), settings=settings)
    belong.fit(to / "some", to / "few", alpha=ALPHA, backbone=Averages(), settings=settings,
               calibration="cross")  # fmt: skip
    belong.fit(to / "ours/0", to / "one", alpha=ALPHA, backbone=Averages(), settings=settings)
    belong.fit(to / "ours", to / "whole", alpha=ALPHA, from_scratch=True, settings=settings)
    return Photos(to, twos, foreign)


def review(photos: Photos, to: Path, kind: str, answers: dict[str, str], **columns: str) -> Path:
    """Write a review file: name of an image -> its class, or "" if it does not belong."""
    rows = [
        {"path": exact(name), "belongs": str(bool(label)), "class": label}
        | {"model": photos.model(kind).info.digest, "folder": str(photos.folder / "new")}
        | columns
        for name, label in answers.items()
    ]
    pd.DataFrame(rows).to_csv(to / "review.csv", index=False)
    return to / "review.csv"


def learned(photos: Photos, to: Path, kind: str, answers: dict[str, str]) -> LearnResult:
    path = review(photos, to, kind, answers)
    return belong.learn(photos.model(kind), to / "model", review=path)


def test_a_path_in_changes_csv_is_no_formula(photos: Photos, tmp_path: Path) -> None:
    shutil.copytree(photos.folder / "new", tmp_path / "new")
    (tmp_path / "new" / photos.twos[0]).rename(tmp_path / "new" / "=1+1.png")
    path = review(photos, tmp_path, "frozen", {"=1+1.png": ""}, folder=str(tmp_path / "new"))
    result = belong.learn(photos.model("frozen"), tmp_path / "model", review=path)
    assert result.changes["path"][0] == "./=1+1.png"
    assert "=" not in {name[0] for name in result.changes["path"]}


def accepted(model: Model, photos: Photos, names: list[str]) -> float:
    files = [photos.folder / "new" / name for name in names]
    return float(model.predict(files, jobs=1).belongs.mean())


@pytest.mark.parametrize("kind", ["frozen", "whole"])
def test_images_that_are_said_not_to_belong_teach_a_head_to_reject_their_like(
    photos: Photos, tmp_path: Path, kind: str
) -> None:
    before = photos.model(kind)
    result = learned(photos, tmp_path, kind, dict.fromkeys(photos.clothes[:40], ""))
    fresh = photos.clothes[40:]
    assert accepted(result.model, photos, fresh) <= accepted(before, photos, fresh) / 2
    assert accepted(result.model, photos, fresh) <= 0.1
    summary = result.summary
    assert (summary["has_head"], summary["foreign_images"]) == (True, 40)
    assert "review_head" in result.model.info.members
    # The network and the classes stay the same; the same images calibrate the model.
    assert summary["after"]["accuracy"] == summary["before"]["accuracy"]
    assert summary["alpha"] == ALPHA
    low, high = result.model.info.measured.expected
    assert low <= summary["after"]["false_reject"] <= high
    assert "Reviewed images do not calibrate" in summary["guarantee"]


def test_a_new_class_is_added_and_its_fresh_images_belong(photos: Photos, tmp_path: Path) -> None:
    before = photos.model("frozen")
    result = learned(photos, tmp_path, "frozen", dict.fromkeys(photos.clothes[:40], "trousers"))
    fresh = photos.clothes[40:]
    rejected = 1 - accepted(before, photos, fresh)
    assert 1 - accepted(result.model, photos, fresh) <= rejected / 2
    assert result.model.class_names == ("0", "1", "trousers")
    files = [photos.folder / "new" / name for name in fresh]
    assert (result.model.predict(files, jobs=1).label == "trousers").mean() > 0.9
    assert "This rate does not cover 'trousers'" in result.summary["guarantee"]
    all_of_them = before.info.trained_on.images["normal_calibration"]
    assert result.model.info.n_calibration == all_of_them
    training = result.model.bundle.arrays["training"]
    assert len(training["labels"]) == len(before.bundle.arrays["training"]["labels"]) + 40


def test_a_new_look_of_a_known_class_is_learned(photos: Photos, tmp_path: Path) -> None:
    result = learned(photos, tmp_path, "frozen", dict.fromkeys(photos.clothes[:40], "1"))
    fresh = photos.clothes[40:]
    rejected = 1 - accepted(photos.model("frozen"), photos, fresh)
    assert 1 - accepted(result.model, photos, fresh) <= rejected / 2
    assert result.model.class_names == ("0", "1")
    assert "marked as yours" in result.summary["guarantee"]


def test_a_model_of_one_class_learns_a_second_one(photos: Photos, tmp_path: Path) -> None:
    result = learned(photos, tmp_path, "one", dict.fromkeys(photos.clothes[:40], "trousers"))
    assert len(result.model.class_names) == 2
    assert "accuracy none before, " in result.text
    fresh = photos.clothes[40:]
    assert (
        accepted(photos.model("one"), photos, fresh) < 0.5 < accepted(result.model, photos, fresh)
    )


def test_few_images_that_train_and_calibrate_learn_foreign_ones(
    photos: Photos, tmp_path: Path
) -> None:
    before = photos.model("few")
    result = learned(photos, tmp_path, "few", dict.fromkeys(photos.clothes[:40], ""))
    fresh, manifest = photos.clothes[40:], result.model.info
    assert accepted(result.model, photos, fresh) <= accepted(before, photos, fresh) / 2
    assert (manifest.n_calibration, manifest.alpha) == (2 * FEW, ALPHA)
    assert (manifest.cross_conformal, manifest.tests_itself) == (before.info.cross_conformal, True)
    assert (
        "like the first 30 training images are rejected, as long as" in result.summary["guarantee"]
    )
    assert "On 30 training images, each scored by models fitted without it: accuracy" in result.text
    assert "false rejects are not measured" in result.text


def test_few_images_learn_a_new_class_and_a_second_review_adds_to_it(
    photos: Photos, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = learned(photos, tmp_path / "first", "few", dict.fromkeys(photos.clothes[:30], "new"))
    path = review(photos, tmp_path / "second", "few", dict.fromkeys(photos.clothes[30:40], "new"),
                  model=first.model.info.digest)  # fmt: skip
    model = belong.learn(first.model, tmp_path / "second" / "model", review=path).model
    fresh = [photos.folder / "new" / name for name in photos.clothes[40:]]
    assert (model.predict(fresh, jobs=1).label == "new").mean() > 0.9
    assert accepted(photos.model("few"), photos, photos.clothes[40:]) < 0.5
    assert accepted(model, photos, photos.clothes[40:]) > 0.7
    assert model.info.n_calibration == 2 * FEW  # no reviewed image is used for calibration
    assert model.info.trained_on.images["normal_train"] == 2 * FEW + 40
    assert "does not cover 40 reviewed images, chosen by their verdicts" in " ".join(
        model.card.split()
    )
    curve = model.info.learning_curve
    assert curve is not None
    assert curve.images == round((2 * FEW + 40) / 3, 1)


def test_without_corrections_of_ours_the_calibration_scores_of_few_images_stay(
    photos: Photos, tmp_path: Path
) -> None:
    """Few foreign images are held back, so that each fold has the images of `belong fit`."""
    result = learned(photos, tmp_path, "few", dict.fromkeys(photos.clothes[:3], ""))
    new, old = (one.bundle.arrays["calibration"] for one in (result.model, photos.model("few")))
    assert new.keys() == old.keys()
    for name, scores in old.items():
        np.testing.assert_allclose(new[name], scores, rtol=1e-5, err_msg=name)


def test_the_changes_are_the_verdicts_of_both_models(photos: Photos, tmp_path: Path) -> None:
    answers = dict.fromkeys(photos.clothes[:25], "") | dict.fromkeys(photos.twos[:12], "two")
    result = learned(photos, tmp_path, "frozen", answers)
    names = dict.fromkeys(["class_before", "class_after"], str)
    table = pd.read_csv(tmp_path / "model" / "changes.csv", keep_default_na=False, dtype=names)
    files = [photos.folder / "new" / name for name in table["path"]]
    for when, model in (("before", photos.model("frozen")), ("after", result.model)):
        predictions = model.predict(files, jobs=1)
        assert (table[f"belongs_{when}"] == predictions.belongs).all()
        assert (table[f"class_{when}"] == predictions.label).all()
        np.testing.assert_allclose(table[f"p_value_{when}"], predictions.p_value, rtol=1e-5)
    answer_column = table.set_index("path")["answer"]
    assert answer_column[photos.clothes[0]] == "not mine"
    assert answer_column[photos.twos[0]] == "mine: two"
    assert (answer_column[photos.twos[12:]] == "").all()
    flips = result.summary["flips"]
    assert flips["now_belong"] == (~table["belongs_before"] & table["belongs_after"]).sum()
    assert flips["now_rejected"] == (table["belongs_before"] & ~table["belongs_after"]).sum()
    summary = json.loads((tmp_path / "model" / "summary.json").read_text(encoding="utf-8"))
    assert summary["learned"] == result.summary


def test_reviews_add_up_few_foreign_images_wait_for_more(photos: Photos, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    first = learned(photos, tmp_path / "first", "frozen", dict.fromkeys(photos.clothes[:12], ""))
    assert not first.summary["has_head"]
    assert "No head was trained: expected at least 20 images marked as not yours" in first.text
    path = review(photos, tmp_path / "second", "frozen", dict.fromkeys(photos.clothes[12:24], ""),
                  model=first.model.info.digest)  # fmt: skip
    second = belong.learn(first.model, tmp_path / "second" / "model", review=path)
    assert (second.summary["has_head"], second.summary["foreign_images"]) == (True, 24)
    fresh = photos.clothes[40:]
    assert accepted(second.model, photos, fresh) <= 0.2


def test_the_same_review_gives_the_same_bytes(photos: Photos, tmp_path: Path) -> None:
    answers = dict.fromkeys(photos.clothes[:25], "") | dict.fromkeys(photos.twos[:12], "two")
    digests = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        result = learned(photos, tmp_path / name, "frozen", answers)
        digests.append(result.model.info.digest)
        shutil.rmtree(tmp_path / name)
    assert digests[0] == digests[1]


def test_an_onnx_graph_has_the_review_head(photos: Photos, tmp_path: Path) -> None:
    result = learned(photos, tmp_path, "whole", dict.fromkeys(photos.clothes[:30], ""))
    assert belong.export(result.model, tmp_path / "model.onnx")


def refused(photos: Photos, to: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> str:
    path = review(
        photos, to, "frozen", dict.fromkeys(photos.clothes[:3], "") | {photos.twos[0]: "0"}
    )
    change(pd.read_csv(path, dtype=str, keep_default_na=False)).to_csv(path, index=False)
    with pytest.raises(InputError) as error:
        belong.learn(photos.model("frozen"), to / "model", review=path)
    assert not (to / "model").exists()
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{path}: ")


REFUSED = {
    "path": ({"path": "no.png"}, "row 1: no.png: no such image in "),
    "leads out": ({"path": "../none.png"}, "row 1: ../none.png: no such image in "),
    "verdict": ({"belongs": "maybe"}, "row 1: belongs: expected True or False, got 'maybe'"),
    "no class": ({"belongs": "True"}, "row 1: class: expected the name of a class, got none"),
    "class": ({"class": "cat"}, "row 1: class: expected none, as belongs is False, got 'cat'"),
    "control": ({"belongs": "True", "class": "a\tcat"},
                "row 1: class: expected text without control characters, got 'a\\tcat'"),
    "few": ({"belongs": "True", "class": "cat"}, "class 'cat' is new and has 1 image; expected at "
            "least 10, or a class of the model, such as "),
    "model": ({"model": "f" * 64}, "its answers are about the verdicts of another model (ffffffff"),
    "folder": ({"folder": "/nowhere"}, "expected one folder in the column folder, or images=, got "
               "2"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_answer_that_makes_no_sense_is_refused_in_one_line(
    photos: Photos, tmp_path: Path, name: str
) -> None:
    change, message = REFUSED[name]

    def wrong_answer(table: pd.DataFrame) -> pd.DataFrame:
        for column, value in change.items():
            table.loc[0, column] = value
        return table

    assert refused(photos, tmp_path, wrong_answer).startswith(message)


@pytest.mark.parametrize("typed", ["café", " Café", "Cafe\u0301"])
def test_a_new_class_needs_another_name_than_a_class_of_the_model(
    tmp_path: Path, typed: str
) -> None:
    path = tmp_path / "review.csv"
    files = [f"{place}.png" for place in range(LEAST_NEW)]
    for file in files:
        (tmp_path / file).touch()
    columns = {"belongs": "True", "class": typed, "model": "f" * 64}
    pd.DataFrame({"path": files, **columns}).to_csv(path, index=False)
    with pytest.raises(InputError, match=rf"'{typed}' is new; .* differs from 'Café' in more"):
        read_review(path, digest="f" * 64, class_names=["bar", "Café"], folder=tmp_path)


def test_tables_that_are_no_reviews_are_refused(photos: Photos, tmp_path: Path) -> None:
    for change, message in (
        (lambda table: table.iloc[:0], "has no row; expected an answer for at least one image"),
        (lambda table: table[["path", "class"]], "expected the columns path, belongs, class, "
         "model, got no belongs and no model"),
        (lambda table: pd.concat([table, table.assign(belongs="True", **{"class": "1"})]),
         "row 5: trousers000.png: has two answers, not mine and '1'; expected one"),
        (lambda table: table.assign(folder="/nowhere"), "its images were in /nowhere, which is "
         "not a folder here; expected images="),
    ):  # fmt: skip
        assert refused(photos, tmp_path, change) == message
    (tmp_path / "empty.csv").write_text("\n")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)))
    (tmp_path / "ragged.csv").write_text("path,belongs,class,model\na,True\nb,True,c,d,e,f\n")
    for name, message in (
        ("empty.csv", "is empty; expected an answer for at least one image"),
        ("binary.csv", "expected a CSV file in UTF-8, got other bytes"),
        ("ragged.csv", "cannot be read as a table: .* in line 3"),
        ("none.csv", "no such file; the gallery"),
    ):
        with pytest.raises(InputError, match=rf"{name}: {message}"):
            belong.learn(photos.model("frozen"), tmp_path / "model", review=tmp_path / name)


def test_a_network_that_was_trained_whole_takes_no_new_class(
    photos: Photos, tmp_path: Path
) -> None:
    with pytest.raises(
        InputError, match="its network was trained as a whole, for 2 classes: the new class 'two'"
    ):
        learned(photos, tmp_path, "whole", dict.fromkeys(photos.twos[:12], "two"))


def test_the_command_says_what_changed_and_refuses_a_model_without_its_data(
    photos: Photos, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = review(photos, tmp_path, "whole", dict.fromkeys(photos.clothes[:30], ""))
    words = ["learn", str(photos.folder / "whole"), "--review", str(path), "-o"]
    assert main([*words, str(tmp_path / "model")]) == 0
    output = capsys.readouterr().out
    assert "30 answers: 0 mine, 30 not mine" in output
    assert "A head was trained on 30 images" in output
    assert "On 48 test images: accuracy" in output
    assert main([*words, str(tmp_path / "model")]) == 2
    assert "exists already; expected the name of a new folder" in capsys.readouterr().err
    shutil.copytree(photos.folder / "whole", tmp_path / "bare")
    (tmp_path / "bare" / NAME).unlink()
    words[1] = str(tmp_path / "bare")
    assert main([*words, str(tmp_path / "other")]) == 2
    assert f"has no {NAME}, the training data that `belong fit` saves" in capsys.readouterr().err
