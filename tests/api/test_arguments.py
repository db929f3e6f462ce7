"""A wrong argument of a public function is an `InputError` of one line, before any work."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import belong
from belong.commands.main import main
from tests.untrained_bundle import save_untrained

LONG = "x" * 5000
PATH_LESS = "expected a path, got"
NO_URL = "expected a folder or file, not a URL, got"

NAMES = {"belong": belong, "np": np, "pd": pd, "io": io, "LONG": LONG, "Path": Path}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write `model`, `photos`, a file and a link to nothing."""
    to = tmp_path_factory.mktemp("arguments")
    save_untrained(to / "model")
    for name in "ab":
        (to / "photos" / name).mkdir(parents=True)
        Image.new("L", (28, 28)).save(to / "photos" / name / "1.png")
    (to / "file").write_text("kept")
    (to / "link").symlink_to("nowhere")
    return to


@pytest.fixture(scope="module")
def model(inputs: Path) -> belong.Model:
    return belong.load_model(inputs / "model", device="cpu")


CASES = [
    # numbers
    ("model.predict('photos', batch_size='x')", "batch_size: expected a whole number, got 'x'"),
    ("model.predict('photos', batch_size=None)", "batch_size: expected a whole number, got None"),
    ("model.predict('photos', batch_size=2.5)", "batch_size: expected a whole number, got 2.5"),
    ("model.predict('photos', jobs=1.5)", "jobs: expected a whole number, got 1.5"),
    ("model.predict('photos', jobs='2')", "jobs: expected a whole number, got '2'"),
    ("model.predict('photos', jobs=True)", "jobs: expected a whole number, got True"),
    (
        "belong.CheckOptions(alpha='x')",
        "alpha: expected a number between 0 and 1 (exclusive), got 'x'",
    ),
    ("belong.CheckOptions(test_fraction=None)", "test_fraction: expected a number between 0 and 1"),
    ("belong.CheckOptions(max_bad_fraction='x')", "max_bad_fraction: expected a number from 0 to"),
    ("belong.CheckOptions(max_bad_fraction=-1)", "max_bad_fraction: expected a number from 0 to 1"),
    ("belong.CheckOptions(max_pixels='x')", "max_pixels: expected a whole number, got 'x'"),
    (
        "belong.CheckOptions(alpha=10**400)",
        "alpha: expected a number between 0 and 1 (ex",
    ),
    ("belong.CheckOptions(jobs=-1)", "jobs: expected at least 1, got -1"),
    ("belong.CleanOptions(jobs=-1)", "jobs: expected at least 1, got -1"),
    ("belong.CleanOptions(jobs='x')", "jobs: expected a whole number, got 'x'"),
    ("belong.CleanOptions(folds='x')", "folds: expected a whole number, got 'x'"),
    ("belong.CleanOptions(folds=2.5)", "folds: expected a whole number, got 2.5"),
    ("belong.CleanOptions(folds=1)", "folds: expected at least 2, got 1"),
    ("belong.CleanOptions(least_side_px='x')", "least_side_px: expected a whole number, got 'x'"),
    ("belong.CleanOptions(false_alarms=2)", "false_alarms: expected a number between 0 and 1"),
    (
        "belong.watch('photos', delta='x')",
        "delta: expected a number between 0 and 1 (exclu",
    ),
    ("belong.watch('photos', delta=float('nan'))", "delta: expected a number between 0 and 1"),
    (
        "belong.watch('file', alpha=0.1, n_calibration='x')",
        "n_calibration: expected a whole number",
    ),
    ("belong.CheckOptions(jobs=np.zeros((9, 9)))", "jobs: expected a whole number, got array("),
    # choices
    ("belong.CheckOptions(background='red')", "background: expected three numbers from 0 to 255"),
    ("belong.CheckOptions(background=(1, 2))", "background: expected three numbers from 0 to 255"),
    ("belong.CheckOptions(background=(1, 2, 999))", "background: expected three numbers from 0"),
    ("belong.CleanOptions(tree='x')", "tree: expected one of link, copy, got 'x'"),
    ("belong.CleanOptions(overwrite='no')", "overwrite: expected True or False, got 'no'"),
    ("belong.ScoringOptions(overwrite='no')", "overwrite: expected True or False, got 'no'"),
    ("belong.load_model('model', device=[])", "device: expected one of auto, cpu, cuda, got []"),
    ("belong.watch('photos', device='x')", "device: expected one of auto, cpu, cuda, got 'x'"),
    *(
        (
            f"belong.sort_images('photos', model.predict('photos'), {out!r})",
            f"{out}: expected an output outside of the folder of the images, photos, which",
        )
        for out in ("photos", "photos/new")
    ),
    # options and settings
    ("belong.check('photos', options={})", "options: expected belong.CheckOptions, got {}"),
    ("belong.check('photos', options={'jobs': 1})", "options: expected belong.CheckOptions, got {"),
    ("belong.clean('photos', 'new', {})", "options: expected belong.CleanOptions, got {}"),
    ("belong.watch('photos', options={})", "options: expected belong.ScoringOptions, got {}"),
    ("belong.CleanOptions(settings=5)", "settings: expected a mapping of dotted keys to values"),
    ("belong.fit('photos', 'new', settings=5)", "settings: expected a mapping"),
    ("belong.fit('photos', 'new', settings='x')", "settings: expected a mapping"),
    ("belong.fit('photos', 'new', settings={'seed': {}})", "settings: seed: expected a valid"),
    (
        "belong.fit('photos', 'new', settings={'bundle.detector': 'energi'})",
        "settings: bundle.detector: expected combined or a detector; nearest is energy",
    ),
    (
        "belong.fit('photos', 'new', settings={'combined.members': ['a', 'msp']})",
        "settings: combined.members: expected detectors that learn without anomalies",
    ),
    ("belong.fit('photos', 'new', alpha='x')", "alpha: expected a number between 0 and 1"),
    ("belong.fit('photos', 'new', alpha=2)", "alpha: expected a number between 0 and 1"),
    ("belong.fit('photos', 'new', guarantee='x')", "guarantee: expected one of marginal"),
    ("belong.fit('photos', 'new', from_scratch='no')", "from_scratch: expected True or False, got"),
    ("belong.sort_images('photos', None, 'out')", "predictions: expected the result of Model.pred"),
    (
        "model.predict(io.BytesIO(b'x'))",
        "images: expected a folder, a list of paths, PIL images or",
    ),
    (
        "model.predict(pd.DataFrame({'path': ['x']}))",
        "images: expected a folder, a list of paths, ",
    ),
    ("belong.fit('photos', 'new', settings={1: 2})", "settings: expected a mapping"),
    ("belong.fit('photos', 'new', settings={'normal.path': 'x'})", "normal.path: expected no such"),
    ("belong.fit('photos', 'new', settings={'unseen': {}})", "unseen: expected no such setting"),
    ("belong.fit('photos', 'new', backbone=3)", "backbone: expected a name or a torch module, got"),
    ("belong.fit('photos', 'new', weights=3)", f"weights: {PATH_LESS} 3"),
    ("belong.clean('photos', 'new', belong.CleanOptions(weights=3))", f"weights: {PATH_LESS} 3"),
    ("belong.CleanOptions(settings={'train.epocs': 1})", "settings: train.epocs: unknown key; "),
    ("belong.CleanOptions(settings={'train.epochs': 0})", "settings: train.epochs: expected great"),
    ("belong.CleanOptions(settings={'normal.path': 'x'})", "normal.path: expected no such setting"),
    ("belong.CleanOptions(weights=3)", f"weights: {PATH_LESS} 3"),
    ("belong.CleanOptions(from_scratch='no')", "from_scratch: expected True or False, got 'no'"),
    ("belong.CleanOptions(from_scratch=True, weights='a')", "from_scratch: not allowed with weig"),
    ("belong.CleanOptions(folds=101)", "folds: expected at most 100, got 101"),
    ("belong.FindOptions(settings={'train.epocs': 1})", "settings: train.epocs: unknown key; the"),
    ("belong.FindOptions(settings={'normal.path': 'x'})", "normal.path: expected no such setting"),
    ("belong.FindOptions(weights=3)", f"weights: {PATH_LESS} 3"),
    ("belong.FindOptions(from_scratch=1)", "from_scratch: expected True or False, got 1"),
    ("belong.fit('nowhere', 'new', calibration='x')", "calibration: expected one of auto, split, "),
    # paths
    ("belong.check('https://a.org/b')", f"folder: {NO_URL} 'https://a.org/b'"),
    ("belong.fit('photos', 's3://models/new')", f"output: {NO_URL} 's3://models/new'"),
    ("belong.fit('photos', Path('s3://new'))", f"output: {NO_URL} 's3:/new'"),
    ("belong.load_model('file:///model')", f"folder: {NO_URL} 'file:///model'"),
    ("belong.clean('photos', 'new', belong.CleanOptions(weights='http://x'))", "weights: expected"),
    ("belong.load_model(None)", f"folder: {PATH_LESS} None"),
    ("belong.check(None)", f"folder: {PATH_LESS} None"),
    ("belong.check('photos', 5)", f"anomalies: {PATH_LESS} 5"),
    ("belong.clean(5, 'new')", f"folder: {PATH_LESS} 5"),
    ("belong.clean('photos', None)", f"output: {PATH_LESS} None"),
    ("belong.fit(5, 'new')", f"folder: {PATH_LESS} 5"),
    ("belong.fit('photos', None)", f"output: {PATH_LESS} None"),
    ("belong.fit('photos', 'new', anomalies=5)", f"anomalies: {PATH_LESS} 5"),
    ("belong.watch(5)", f"images: {PATH_LESS} 5"),
    ("belong.watch('photos', model=3)", f"model: {PATH_LESS} 3"),
    ("belong.watch('photos', images_folder=3)", f"images_folder: {PATH_LESS} 3"),
    ("belong.watch('photos', output=3)", f"output: {PATH_LESS} 3"),
    ("belong.export(3, 'new')", f"model: {PATH_LESS} 3"),
    ("belong.export('model', None)", f"path: {PATH_LESS} None"),
    ("belong.export('model', 'new', verify=3)", f"verify: {PATH_LESS} 3"),
    ("model.predict('')", f"images: {PATH_LESS} ''"),
    ("model.predict('a\\0b')", f"images: {PATH_LESS} 'a\\x00b'"),
    ("model.predict('\\ud800')", f"images: {PATH_LESS} '\\ud800'"),
    ("model.predict(LONG)", f"{LONG[:80]}...: File name too long"),
    ("belong.load_model(LONG)", f"{LONG[:80]}...: File name too long"),
    # where results would go
    ("belong.watch('photos', model=model, output='file')", "file: not a folder; expected a folder"),
    ("belong.watch('photos', model=model, output='file/new')", "file: not a folder"),
    ("belong.clean('photos', 'file')", "file: not a folder; expected a folder or a new name"),
    ("belong.clean('photos', 'link')", "link: not a folder; expected a folder or a new name"),
    ("belong.fit('photos', 'link')", "link: exists already; expected the name of a new folder"),
    ("belong.fit('photos', 'file/new')", "file: not a folder; expected a folder or a new name"),
]


@pytest.mark.parametrize(("call", "message"), CASES, ids=[call for call, _ in CASES])
def test_a_wrong_argument_is_refused_in_one_line(
    inputs: Path, model: belong.Model, monkeypatch: pytest.MonkeyPatch, call: str, message: str
) -> None:
    monkeypatch.chdir(inputs)
    before = sorted(inputs.rglob("*"))
    with pytest.raises(belong.InputError) as error:
        eval(call, {**NAMES, "model": model})  # noqa: S307
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
    assert sorted(inputs.rglob("*")) == before


@pytest.mark.parametrize("words", ["check", "score --model m -o o", "fit photos -o", "info"])
def test_a_url_is_no_path_of_a_command(
    words: str, inputs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(inputs)
    arguments = [*words.replace("-model m", "-model model").split(), "https://a.org/b"]
    try:
        code = main(arguments)
    except SystemExit as end:
        code = end.code  # type: ignore[assignment]
    assert code == 2
    assert f"{NO_URL} 'https://a.org/b'" in capsys.readouterr().err


def test_numbers_of_numpy_are_numbers() -> None:
    of_numpy: dict[str, Any] = {"alpha": np.float32(0.5), "jobs": np.int64(2)}
    assert belong.CheckOptions(**of_numpy) == belong.CheckOptions(alpha=0.5, jobs=2)


def test_an_image_without_pixels_has_a_row_that_says_so(model: belong.Model) -> None:
    predictions = model.predict(Image.new("RGB", (0, 0)))
    assert predictions.is_readable.tolist() == [False]
    assert predictions.reason.tolist() == ["empty: 0 pixels"]


@pytest.mark.parametrize("kind", ["GIF", "MPO"])
def test_a_closed_image_of_two_frames_is_scored(
    model: belong.Model, tmp_path: Path, kind: str
) -> None:
    """The frames of a closed GIF cannot be counted; an MPO file counts as one picture."""
    black, white = (Image.new("RGB", (28, 28), color) for color in ("black", "white"))
    black.save(tmp_path / "a", kind, save_all=True, append_images=[white])
    with Image.open(tmp_path / "a") as image:
        image.load()
    (prediction,) = model.predict(image)
    (of_black,) = model.predict(black)
    assert (prediction.score, prediction.reason) == (of_black.score, of_black.reason)
