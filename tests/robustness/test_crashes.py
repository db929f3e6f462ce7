"""A kill at every change of the disk, and a power failure behind every command.

The same command again gives the bytes of an undisturbed run.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import belong
from belong.commands.check import check
from belong.commands.clean import write_results
from belong.commands.clean.manifest import manifest
from belong.commands.clean.options import CleanOptions
from belong.commands.clean.reliability import blind
from belong.commands.find import find
from belong.commands.find.methods import METHODS, Strangeness
from belong.commands.fit import fit, recipe
from belong.commands.fit.workspace import Workspace
from belong.commands.learn import refit
from belong.commands.main import main
from belong.data.idx import read
from belong.data.image_folder import list_images
from belong.models.checkpoint import Checkpoint
from belong.parameters import Parameters
from belong.prediction.bundle import Bundle
from belong.prediction.learning_data import PREDICTED, SHOWN, TEST, TRAIN, LearningData
from belong.prediction.onnx import export as onnx_export
from belong.runtime.storage import make_folder
from tests.imports import ROOT
from tests.robustness.disk import KilledError, killed_at, synced
from tests.untrained_bundle import save_untrained

OF_THE_CLOCK = {"seconds", "images_per_second"}


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of digits."""
    folder, images = tmp_path_factory.mktemp("digits"), read(DIGITS).images
    for number in range(6):
        to = folder / "ab"[number % 2] / f"{number}.png"
        to.parent.mkdir(exist_ok=True)
        Image.fromarray(images[number, 0]).save(to)
    (folder / "a" / "broken.png").write_text("no image")
    return folder


DIGITS = ROOT / "tests" / "data" / "mnist-small"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    save_untrained(folder)
    return folder


@dataclass(frozen=True)
class Command:
    """Something that writes into a folder.

    Attributes:
        run: does so, and returns an exit code.
        finished: the code of one that is run again when all was done.
    """

    run: Callable[[Path], int]
    finished: int = 0


LEFT = re.compile(r"(.+/)?(\..+\.lock|\.unfinished/)")
COMMANDS = ["score", "watch", "export", "check", "clean", "fit", "find", "learn", "evaluate"]


@pytest.fixture
def command(
    request: pytest.FixtureRequest,
    digits: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    name = request.param
    words = ["score", str(digits), "--model", str(model), "--jobs", "1", "--batch-size", "4"]

    def output(*words: str) -> Command:
        return Command(lambda out: main([*words, "-o", str(out)]))

    if name == "score":
        return output(*words)
    if name == "overwrite":
        others = tmp_path / "others"
        main(["score", str(digits / "b"), "--model", str(model), "-o", str(others)])

        def over_others(out: Path) -> int:
            if not out.exists():
                shutil.copytree(others, out)
            return main([*words, "-o", str(out), "--overwrite", "--no-gallery"])

        return Command(over_others)
    if name == "watch":
        main([*words, "-o", str(tmp_path / "scored"), "--no-gallery"])
        return output("watch", str(tmp_path / "scored"), "--model", str(model))
    if name == "export":
        monkeypatch.setattr(onnx_export, "model", lambda *_arguments: Graph())
        return Command(lambda out: main(["export", str(model), "-o", str(out / "model.onnx")]), 2)
    if name == "check":
        report = check.check(digits)
        monkeypatch.setattr(check, "check", lambda *_arguments: report)  # it takes a second
        return output("check", str(digits))
    if name == "clean":
        return Command(lambda out: cleaned(digits, out), 2)
    if name == "find":
        monkeypatch.setattr(find, "_measure", strangeness)
        quick = ["--from-scratch", "--jobs", "1", "--set", "device=cpu"]
        words = ["find", str(digits), *quick]
        return Command(lambda out: main([*words, "-o", str(out / "found")]), 2)
    if name == "learn":
        review = learnable(model, digits, tmp_path)
        bundle, data = Bundle.load(tmp_path / "model"), learning_data()
        monkeypatch.setattr(refit, "refit", lambda *_arguments, **_options: (bundle, data))
        words = ["learn", str(tmp_path / "model"), "--review", str(review)]
        return Command(lambda out: main([*words, "-o", str(out / "new")]), 2)
    if name in ("evaluate", "evaluate a panel inside"):
        words = ["evaluate", *map(str, vectors(tmp_path)), "--detectors", "feature_knn"]
        panel = "panel" if name == "evaluate" else "new/panel"
        return Command(
            lambda out: main([*words, "-o", str(out / "new"), "--save-panel", str(out / panel)]), 2
        )
    monkeypatch.setattr(recipe, "make_model", quickly(Bundle.load(model)))
    monkeypatch.setattr(fit, "tell", lambda _job: None)  # it measures the machine
    monkeypatch.setattr(fit, "key_of", lambda _job: "key")  # it reads all code
    settings = ["split.calibration_fraction=0.5", "calibration.alpha=0.2"]
    set_to = [word for one in settings for word in ("--set", one)]
    few = ["fit", str(fit_images(tmp_path / "images")), "--from-scratch", *set_to]
    return Command(lambda out: main([*few, "-o", str(out / "model")]), 2)


class Graph:
    def SerializeToString(self, *, deterministic: bool) -> bytes:  # noqa: N802
        return b"graph" if deterministic else b""


def fit_images(folder: Path) -> Path:
    data = read(DIGITS)
    for label in range(2):
        (folder / f"{label}").mkdir(parents=True)
        for row in np.flatnonzero(data.labels == label)[:40]:
            Image.fromarray(data.images[row, 0]).save(folder / f"{label}" / f"{row}.png")
    return folder


def quickly(bundle: Bundle) -> Callable[..., tuple[Bundle, str, LearningData]]:
    """Return a small stand-in for the fitting of a model: three results, one of a training."""

    def train(checkpoint: Checkpoint) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        state: Any = State()
        checkpoint.take_up(state)
        for epoch in range(checkpoint.epochs, 2):
            state.history.append(epoch)
            checkpoint.keep(state)
        return {"x": np.array(state.history)}, {}

    def make_model(
        _values: object,
        workspace: Workspace,
        *,
        backbone: object,
        announce: Callable[[str], None],
        **_options: bool,
    ) -> tuple[Bundle, str, LearningData]:
        announce("train")
        workspace.keep("pack", lambda: ({"x": np.arange(3)}, {"backbone": backbone}))
        arrays, _ = workspace.keep_training("train", train)
        workspace.keep_on_disk("extract", lambda: (arrays, {}))
        learning = LearningData({"x": arrays["x"]}, Parameters.load(ROOT / "params.yaml"))
        return bundle, f"{workspace.load('extract', 'x').tolist()}", learning

    return make_model


class State:
    """As of a training that remembers nothing but the epochs."""

    def __init__(self) -> None:
        self.history: list[int] = []

    def arrays(self) -> dict[str, np.ndarray]:
        return {"x": np.zeros(3)}

    def about(self) -> dict[str, object]:
        return {"history": self.history}

    def take_up(self, _arrays: object, about: dict[str, list[int]]) -> None:
        self.history[:] = about["history"]


def strangeness(_job: object, _images: object, unit: np.ndarray) -> Strangeness:
    """Return what stands for the scores of a search: each image is stranger than the one before."""
    scores = np.arange(unit.max() + 1, dtype=np.float64)
    return Strangeness(dict.fromkeys(METHODS, scores), scores)


def learnable(model: Path, digits: Path, folder: Path) -> Path:
    """Copy a model that `belong learn` can update; return a review of two images."""
    shutil.copytree(model, folder / "model")
    digest = Bundle.load(model).manifest.digest
    learning_data().save(folder / "model", digest)
    rows = {"path": ["a/0.png", "b/1.png"], "belongs": [True, False]}
    table = pd.DataFrame(rows | {"model": digest, "folder": str(digits)})
    table["class"] = [Bundle.load(model).manifest.class_names[0], ""]
    table.to_csv(folder / "review.csv", index=False)
    return folder / "review.csv"


def learning_data() -> LearningData:
    """Return what stands for the training data of a model."""
    names = (SHOWN, PREDICTED, f"{TRAIN}/labels", f"{TEST}/labels")
    arrays = dict.fromkeys(names, np.arange(3))
    return LearningData(arrays, Parameters.load(ROOT / "params.yaml"))


def vectors(folder: Path) -> list[Path]:
    """Write the vectors of training, test and foreign rows."""
    rng = np.random.default_rng(0)
    files = [folder / f"{name}.npy" for name in ("train", "test", "odd")]
    for file in files:
        np.save(file, rng.normal(size=(100, 2)).astype(np.float32))
    return files


def cleaned(digits: Path, out: Path) -> int:
    """Write the results of a cleaning, without training its networks."""
    files = list_images(digits)
    try:
        write_results.check_place(out, digits, overwrite=False)
    except belong.InputError:
        return 2
    paths = [str(file) for file in files.files]
    table = pd.DataFrame({"path": paths, "part": "train", "class": "a"})
    rows = manifest(table, [], np.empty(0, np.int64), None)
    options = CleanOptions(tree="copy")
    write_results.save(out, rows, files, [0], options=options, reliability=blind(""))
    return 0


def timeless(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if name not in OF_THE_CLOCK}


def content(folder: Path) -> dict[str, bytes]:
    """Return every file, hidden ones too, without the times that it contains."""
    files = {}
    for path in folder.rglob("*"):
        if path.is_dir():
            files[f"{path.relative_to(folder)}/"] = b""
        elif path.name == "summary.json":
            document = json.loads(path.read_text(), object_pairs_hook=timeless)
            files[str(path.relative_to(folder))] = json.dumps(document, sort_keys=True).encode()
        else:
            # The gallery has the command that wrote it.
            data = path.read_bytes().replace(str(folder).encode(), b"OUT")
            files[str(path.relative_to(folder))] = data
    return files


@pytest.mark.parametrize(
    "command", [*COMMANDS, "overwrite", "evaluate a panel inside"], indirect=True
)
def test_after_a_kill_at_any_change_of_the_disk_the_same_command_gives_the_same_bytes(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _file: None)  # the power stays on
    whole = tmp_path / "whole"
    prepare(command, whole)
    code = command.run(whole)
    expected, kills = content(whole), 0
    while True:
        out = tmp_path / f"out{kills}"
        prepare(command, out)
        try:
            with killed_at(kills):
                command.run(out)
            break
        except KilledError:
            kills += 1
        second_code = command.run(out)
        assert second_code in {code, command.finished}
        actual = content(out)
        if second_code == command.finished != 0:  # only empty folders were left
            actual = {name: data for name, data in actual.items() if not LEFT.fullmatch(name)}
        assert actual == expected, f"killed at change {kills}"
    assert kills >= 3


def prepare(command: Command, out: Path) -> None:
    """Make the folder in which a command makes its output, unless it makes both."""
    if command.finished:
        make_folder(out)


@pytest.mark.parametrize("command", COMMANDS, indirect=True)
def test_a_power_failure_after_a_command_leaves_all_that_it_has_written(
    command: Command, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    with synced() as spoiled:
        prepare(command, out)
        command.run(out)
        assert spoiled(out) == []
