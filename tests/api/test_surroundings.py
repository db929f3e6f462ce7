"""A call of the API changes nothing in the program that calls it."""

import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import belong
from belong.commands.main import main
from belong.prediction.learning_data import NAME, PREDICTED
from belong.runtime.errors import InputError
from belong.runtime.storage import save_arrays
from tests.imports import ROOT
from tests.untrained_bundle import save_untrained

MANY = 160  # files: enough to be decoded in processes, and to calibrate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("surroundings")
    save_untrained(to / "model")
    noise = np.random.default_rng(0).integers(0, 256, (MANY, 28, 28), np.uint8)
    noise[1::2] //= 4  # one class is dark: a model of noise alone is refused
    for number, pixels in enumerate(noise):
        file = to / "photos" / "ab"[number % 2] / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    return to


def settings() -> tuple[object, ...]:
    return (
        torch.get_num_threads(),
        torch.get_deterministic_debug_mode(),
        torch.get_rng_state().tolist(),
    )


def test_a_prediction_leaves_torchs_settings_and_generators_alone(folder: Path) -> None:
    before = settings()
    belong.load_model(folder / "model").predict(folder / "photos" / "a" / "000.png")
    assert settings() == before


@pytest.mark.pipeline
def test_a_model_is_watched_and_updated_after_a_change_of_the_current_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(folder / "model", tmp_path / "here" / "model")
    save_arrays(tmp_path / "here" / "model" / NAME, {PREDICTED: np.zeros(40, np.int64)})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    model = belong.load_model("model")
    here = belong.watch(folder / "photos", model=model)
    monkeypatch.chdir(tmp_path / "elsewhere")
    elsewhere = belong.watch(folder / "photos", model=model)
    assert here.mix is not None
    assert (elsewhere.mix, elsewhere.text) == (here.mix, here.text)
    assert str(model.folder) == "model"
    learning = re.escape(str(tmp_path / "here" / "model"))
    with pytest.raises(InputError, match=f"^{learning}"):  # the file has no training images
        belong.learn(model, "new", review="review.csv")


@pytest.mark.pipeline
def test_fit_and_clean_leave_torchs_settings_and_generators_alone(
    folder: Path, tmp_path: Path
) -> None:
    torch.set_num_threads(2)
    before = settings()
    quick = {"train.epochs": 1, "autoencoder.epochs": 1}
    try:
        belong.fit(folder / "photos", tmp_path / "new", alpha=0.2, settings=quick)
        assert settings() == before
        options = belong.CleanOptions(folds=2, settings={"train.epochs": 1})
        belong.clean(folder / "photos", tmp_path / "cleaned", options)
        assert settings() == before
    finally:
        torch.set_num_threads(1)


@pytest.mark.robustness
def test_threads_may_predict_at_the_same_time(folder: Path) -> None:
    model = belong.load_model(folder / "model")
    alone = model.predict(folder / "photos")
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: model.predict(folder / "photos"), range(8)))
    for predictions in together:
        np.testing.assert_array_equal(predictions.score, alone.score)


@pytest.mark.robustness
def test_a_script_without_a_main_guard_runs_once(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import belong\nprint('begins')\n"
        f"model = belong.load_model({str(folder / 'model')!r})\n"
        f"print(len(model.predict({str(folder / 'photos')!r}, jobs=2)))\n"
    )
    process = subprocess.run(
        [sys.executable, script], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (process.returncode, process.stdout, process.stderr) == (0, f"begins\n{MANY}\n", "")


@pytest.mark.parametrize(
    ("output", "message"),
    [(".", "exists already"), ("/", "exists already"), ("", "output: expected a path, got ''")],
)
def test_an_output_that_is_there_is_refused_whatever_its_name(
    output: str, message: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        belong.fit(folder / "photos", output)
    assert main(["fit", str(folder / "photos"), "-o", output]) == 2
