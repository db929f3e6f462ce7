"""Equal pixels have equal verdicts, however they are given; bad input is a typed exception."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import belong
from belong.commands.main import main
from belong.data.idx import read
from belong.prediction.model import Images
from belong.prediction.predictions import COLUMNS
from tests.imports import ROOT
from tests.untrained_bundle import save_untrained

N = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("predict")
    save_untrained(to / "model")
    (to / "photos").mkdir()
    for place, image in enumerate(read(ROOT / "tests" / "data" / "mnist-small").images[:N]):
        Image.fromarray(image[0]).save(to / "photos" / f"{place:02}.png")
    return to


@pytest.fixture(scope="module")
def model(folder: Path) -> belong.Model:
    return belong.load_model(str(folder / "model"), device="cpu")


@pytest.fixture(scope="module")
def folder_predictions(model: belong.Model, folder: Path) -> belong.Predictions:
    return model.predict(folder / "photos")


def pixels(folder: Path) -> np.ndarray:
    return np.stack([np.asarray(open_image(path)) for path in files(folder)])


def open_image(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image


def files(folder: Path) -> list[Path]:
    return sorted((folder / "photos").iterdir())


@pytest.mark.parametrize("kind", ["paths", "images", "grey", "channel", "rgb", "rgba", "list"])
def test_pixels_in_memory_have_the_verdicts_of_png_files(
    model: belong.Model, folder: Path, folder_predictions: belong.Predictions, kind: str
) -> None:
    grey = pixels(folder)
    images: dict[str, Images] = {
        "paths": [str(path) for path in files(folder)],
        "images": [open_image(path) for path in files(folder)],
        "grey": grey,
        "channel": grey[..., None],
        "rgb": np.repeat(grey[..., None], 3, axis=-1),
        "rgba": np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1),
        "list": list(grey),
    }
    predictions = model.predict(images[kind])
    assert len(predictions) == N
    for name in ("label", "belongs", "p_value", "score", "nearest_class", "distance", "reason"):
        np.testing.assert_array_equal(getattr(predictions, name), getattr(folder_predictions, name))


@pytest.mark.parametrize("mode", ["LA", "P", "I;16", "RGB"])
def test_an_image_of_any_mode_and_size_has_the_verdict_of_its_png_file(
    model: belong.Model, tmp_path: Path, mode: str
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (25, 35), np.uint8)
    image = (
        Image.fromarray(noise.astype(np.uint16) * 257)
        if mode == "I;16"
        else Image.fromarray(noise).convert(mode)
    )
    image.save(tmp_path / "a.png")
    of_file, of_image = model.predict(tmp_path / "a.png"), model.predict(image)
    assert of_file.is_readable.all()
    np.testing.assert_array_equal(of_file.score, of_image.score)


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16L", "I;16B", "I;16N"])
def test_grey_of_16_bits_is_the_same_picture_in_every_mode(
    model: belong.Model, folder: Path, mode: str
) -> None:
    grey = pixels(folder)[0]
    if mode == "I":
        image = Image.fromarray(grey.astype(np.int32) * 257)
    else:
        order = {"L": "<", "B": ">"}.get(mode[-1], "=")
        stored = (grey.astype(np.uint16) * 257).astype(f"{order}u2")
        image = Image.frombytes(mode, (28, 28), stored.tobytes())
    assert model.predict(image).score == model.predict(grey).score


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA", "RGBX"])
def test_an_image_of_a_rare_mode_is_the_picture(
    model: belong.Model, folder: Path, mode: str
) -> None:
    grey = Image.fromarray(pixels(folder)[0])
    steps = {"La": ["LA"], "RGBa": ["RGBA"], "PA": ["P"], "RGBX": ["RGB"]}[mode]
    image = grey
    for step in (*steps, mode):
        image = image.convert(step)
    assert model.predict(image).score == model.predict(grey).score


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (
            np.full((28, 28), 70_000, np.int32),
            "grayscale values from 70000 to 70000; expected 0 to",
        ),
        (np.full((28, 28), -1, np.int32), "grayscale values from -1 to -1; expected 0 to 65535"),
        (np.ones((28, 28), np.float32), "grayscale with fractional values, whose white level is"),
    ],
)
def test_grey_whose_white_is_unknown_counts_as_unreadable(
    model: belong.Model, values: np.ndarray, reason: str
) -> None:
    (prediction,) = model.predict(Image.fromarray(values))
    assert not prediction.is_readable
    assert prediction.reason.startswith(reason)


@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_closed_image_counts_as_unreadable_and_the_reason_says_so(
    model: belong.Model, folder: Path, is_loaded: bool
) -> None:
    image: Image.Image = Image.open(files(folder)[0])
    if is_loaded:
        image = image.copy()
    image.close()
    (prediction,) = model.predict(image)
    assert prediction.reason.startswith("closed; expected an open image")


def test_the_table_is_that_of_predictions_csv(
    folder: Path, folder_predictions: belong.Predictions, tmp_path: Path
) -> None:
    words = ["--model", str(folder / "model"), "-o", str(tmp_path), "--device", "cpu"]
    assert main(["score", str(folder / "photos"), *words]) == 0
    table, csv = folder_predictions.to_pandas(), pd.read_csv(tmp_path / "predictions.csv")
    assert tuple(table.columns) == tuple(csv.columns) == COLUMNS
    for name in COLUMNS:
        if name in ("probability", "p_value", "score", "distance"):
            np.testing.assert_allclose(table[name], csv[name], rtol=1e-5)
        else:
            assert table[name].tolist() == csv[name].tolist()


def test_a_file_that_cannot_be_read_keeps_its_row_and_its_reason(
    model: belong.Model, folder: Path, folder_predictions: belong.Predictions
) -> None:
    first, missing = files(folder)[0], folder / "gone.png"
    predictions = model.predict([missing, first])
    assert predictions.path.tolist() == [str(missing), str(first)]
    assert predictions.is_readable.tolist() == [False, True]
    assert predictions.reason[0] == "no such file"
    assert predictions.score[1] == pytest.approx(folder_predictions.score[0], rel=1e-5)
    table = predictions.to_pandas()
    assert table["belongs"].isna().tolist() == [True, False]
    assert len(table[table["belongs"]]) + len(table[~table["belongs"]]) == 1


def test_no_images_have_no_predictions(model: belong.Model) -> None:
    assert len(model.predict([])) == 0
    assert model.predict([]).to_pandas().empty


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((28, 28), np.float32), "uint8 of shape .* got float32 of shape \\(28, 28\\)"),
        (np.zeros((2, 28, 28, 2), np.uint8), "\\(n, h, w, ch\\) .* shape \\(2, 28, 28, 2\\)"),
        (np.zeros((1, 2, 28, 28, 3), np.uint8), "got uint8 of shape \\(1, 2, 28, 28, 3\\)"),
        (["a.png", ""], "images\\[1\\]: expected a path, got ''"),
        (["a\ud800b"], "images\\[0\\]: expected a path, got 'a.ud800b'"),
        (b"new", "or an array, got bytes"),
        (np.array(3, np.uint8), "got uint8 of shape \\(\\)"),
        (
            [np.zeros((28, 28), np.uint8), Path("a.png")],
            "or only PIL images and arrays, got a path at position 1 and ndarray at position 0",
        ),
        ([Image.new("L", (2, 2)), None], r"images\[1\]: expected a path, a PIL .*, got NoneType"),
        ("https://example.org/a.jpg", "images: expected a folder or file, not a URL, got 'https:"),
        (["https://a.org/b.jpg"], r"images\[0\]: expected a .* URL, got 'https://a.org/b.jpg'"),
        (7, "expected a folder, a list of paths, PIL images or arrays, or an array, got int"),
        ("nowhere", "nowhere: no such file or folder"),
    ],
)
def test_what_is_no_image_is_refused_by_name(
    model: belong.Model, images: Images, message: str
) -> None:
    with pytest.raises(belong.InputError, match=message):
        model.predict(images)


@pytest.mark.parametrize("kind", [iter, np.array, pd.Series])
def test_paths_may_come_from_any_iterable(
    model: belong.Model, folder: Path, folder_predictions: belong.Predictions, kind: type
) -> None:
    predictions = model.predict(kind(list(map(str, files(folder)))))
    np.testing.assert_array_equal(predictions.score, folder_predictions.score)


@pytest.mark.parametrize("backbone", ["efficientnet_lite0", 3])
def test_a_backbone_that_is_no_module_is_refused(folder: Path, backbone: Any) -> None:
    with pytest.raises(
        belong.InputError, match=f"backbone: expected the torch module .* {backbone!r}"
    ):
        belong.load_model(folder / "model", backbone=backbone)


def test_after_an_interruption_the_same_model_predicts_again(
    model: belong.Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(model.predictor), "score", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.predict(folder / "photos", batch_size=4)
    assert model.predict(folder / "photos").is_readable.all()


def test_the_networks_are_built_once(model: belong.Model, folder: Path) -> None:
    before = model.predictor
    model.predict(files(folder)[:2])
    assert model.predictor is before


def test_a_damaged_model_is_a_typed_exception_with_the_line_of_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_untrained(tmp_path)
    (tmp_path / "network.safetensors").write_bytes(b"")
    with pytest.raises(belong.IntegrityError) as error:
        belong.load_model(tmp_path)
    assert main(["info", str(tmp_path)]) == error.value.exit_code == 4
    assert capsys.readouterr().err == f"belong info: {error.value}\n"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            "belong.load_model('m', device='tpu')",
            "device: expected one of auto, cpu, cuda, got 'tpu'",
        ),
        ("belong.watch('p', alpha=2, n_calibration=9)", "alpha: expected a number between 0 and 1"),
        ("belong.watch()", "expected a folder of images or the output of `belong score`, got none"),
        (
            "belong.CheckOptions(alpha=1)",
            "alpha: expected a number between 0 and 1 (exclusive), ",
        ),
        ("belong.ScoringOptions(jobs=0)", "jobs: expected at least 1, got 0"),
    ],
)
def test_an_option_out_of_its_range_is_refused_by_name(call: str, message: str) -> None:
    with pytest.raises(belong.InputError, match=re.escape(message)):
        eval(call)  # noqa: S307


def test_the_package_imports_nothing_until_a_name_is_used() -> None:
    code = (
        "import sys, json, belong; before = set(sys.modules); names = dir(belong); "
        "print(json.dumps([sorted(before & {'numpy', 'pandas', 'torch', 'pydantic', 'PIL'}), "
        "set(belong.__all__) <= set(names), hasattr(belong, 'nothing')]))"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(process.stdout) == [[], True, False]


def test_every_public_name_is_there() -> None:
    assert [name for name in belong.__all__ if getattr(belong, name).__doc__ is None] == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x.take(np.zeros((2, 2), int)), "rows: expected indices (k,) below 2, or (2,)"),
        (lambda x: x.take(np.array([2])), "rows: expected indices (k,) below 2, or (2,) bool"),
        (lambda x: x.take(np.ones(3, bool)), "rows: expected indices (k,) below 2, or (2,) bool"),
        (lambda x: x.with_verdicts(np.ones(3, bool)), "belongs: expected (2,) bool, got"),
        (lambda x: x.with_verdicts(np.array(["a", "b"])), "belongs: expected (2,) bool, got"),
    ],
)
def test_rows_and_verdicts_of_another_shape_are_refused(
    model: belong.Model, call: Callable[[belong.Predictions], object], message: str
) -> None:
    predictions = model.predict(np.zeros((2, 28, 28), np.uint8))
    with pytest.raises(belong.InputError, match=re.escape(message)):
        call(predictions)
    assert len(predictions.take(np.array([], float))) == 0
    assert predictions.take(np.array([-1, 0])).path.tolist() == ["1", "0"]
