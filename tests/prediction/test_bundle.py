"""A loaded model has exactly the saved bytes; an altered one is refused."""

import hashlib
import json
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from belong.commands.main import main
from belong.prediction.bundle import Bundle
from belong.prediction.manifest import Manifest
from belong.prediction.prediction_files import summary_of
from belong.prediction.rule_of_model import rule_of
from tests.small_bundle import FILES, a_bundle


@pytest.fixture
def model(tmp_path: Path) -> Path:
    a_bundle().save(tmp_path / "model")
    return tmp_path / "model"


def test_what_is_loaded_is_what_was_saved(tmp_path: Path) -> None:
    saved = a_bundle().save(tmp_path / "model")
    loaded = Bundle.load(str(tmp_path / "model"))
    assert loaded.manifest == saved.manifest
    assert set(loaded.arrays) == set(FILES)
    for one in loaded.arrays.values():
        np.testing.assert_array_equal(one["x"], [0, 1, 2])


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        a_bundle().save(tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_file_of_the_user_beside_those_of_the_model_is_left_alone(model: Path) -> None:
    (model / "report.html").write_text("mine")
    assert Bundle.load(model).manifest.class_names == ["cat", "dog"]


def test_mahalanobis_is_asked_too_for_it_names_the_nearest_class() -> None:
    assert a_bundle().manifest.uses == ["energy", "mahalanobis"]


@pytest.mark.robustness
@pytest.mark.parametrize("name", ["manifest.json", *(f"{name}.safetensors" for name in FILES)])
def test_one_bit_anywhere_is_found(
    model: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = model / name
    good = path.read_bytes()
    for place in range(0, len(good), 7):
        path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        assert main(["info", str(model)]) == 4
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"belong info: {path}: ")


@pytest.mark.parametrize("name", ["manifest.json", "network.safetensors"])
def test_a_file_that_is_cut_off_is_found(
    model: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = model / name
    path.write_bytes(path.read_bytes()[:-1])
    assert main(["info", str(model)]) == 4
    assert str(path) in capsys.readouterr().err


def rewritten(**changes: object) -> Callable[[Path], None]:
    """Return a function that rewrites a manifest with a valid checksum."""

    def write(model: Path) -> None:
        manifest = Bundle.load(model).manifest
        (model / "manifest.json").write_text(manifest.model_copy(update=changes).text)

    return write


def replaced_by_a_file(model: Path) -> None:
    shutil.rmtree(model)
    model.write_text("")


STORED = {"sha256": "0" * 64, "bytes": 0}
SPOILED: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "no folder": (shutil.rmtree, 2, "expected the folder of a model, got no such folder"),
    "a file": (replaced_by_a_file, 2, "expected the folder of a model, got a file"),
    "not a model": (
        lambda model: (model / "manifest.json").unlink(),
        2,
        "expected the folder of a model, got no manifest.json",
    ),
    "another manifest": (
        lambda model: (model / "manifest.json").write_text("[1]"),
        4,
        "is not the manifest of a model of `belong`",
    ),
    "not finite": (
        lambda model: (model / "manifest.json").write_text('{"format": NaN}'),
        4,
        "is cut off or altered",
    ),
    "another format": (
        rewritten(format=3), 4, "is of format 3; this version of belong reads format 2"
    ),
    "a missing file": (
        lambda model: (model / "training.safetensors").unlink(),
        4,
        "training.safetensors: is missing; manifest.json lists it",
    ),
    "a name that leaves the folder": (
        rewritten(files={"../../network.safetensors": STORED}), 4, "should match pattern"
    ),
    "a file that no model has": (
        rewritten(files={"other.safetensors": STORED}), 4, "files: expected network"
    ),
    "no class": (rewritten(class_names=[]), 4, "class_names: list should have at least 1 item"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # the values are wrong
@pytest.mark.parametrize("command", ["info", "score"])
@pytest.mark.parametrize("case", SPOILED)
def test_an_incomplete_model_is_one_line_with_its_exit_code(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, command: str
) -> None:
    spoil, code, message = SPOILED[case]
    spoil(model)
    out = tmp_path / "out"
    words = {
        "info": ["info", str(model)],
        "score": ["score", str(tmp_path), "--model", str(model), "-o", str(out)],
    }
    assert main(words[command]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"belong {command}: ")
    assert message in line
    assert not out.exists()


def test_a_command_leaves_the_signals_of_its_caller_as_they_were(model: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    main(["info", str(model)])
    assert signal.getsignal(signal.SIGTERM) is before


def test_info_prints_the_manifest_as_it_is(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(model), "--json"]) == 0
    assert capsys.readouterr().out == (model / "manifest.json").read_text()


def test_the_card_says_the_verdict_below_the_classes(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(model)]) == 0
    output = capsys.readouterr().out
    # The path above them takes as many lines as it is long.
    of_classes = next(line for line in output.splitlines() if line.startswith("classes "))
    assert f"{of_classes}\n\nverdict           Not fit for use as a classifier. What" in output
    assert "100% of 'dog' (1 of 1) is classified as 'cat'." in " ".join(output.split())


def test_the_summary_of_a_scoring_has_the_grades_of_its_model() -> None:
    bundle = a_bundle()
    scores = {bundle.manifest.detector: np.arange(3.0)}
    bundle = replace(bundle, arrays={**bundle.arrays, "calibration": scores})
    summary = summary_of(Counter({("cat", True): 1}), bundle.manifest, rule_of(bundle))["model"]
    assert summary["grade"] == {"classifier": "not fit for use", "judge": "usable with care"}
    assert summary["verdict"].startswith("Not fit for use as a classifier. What helps: ")


def test_the_card_says_what_was_promised_and_what_was_measured(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["info", str(model)]) == 0
    output = capsys.readouterr().out
    assert "accuracy          0.5000 on 2 test images" in output
    assert "50% of 2 test images; promised: 2.5%" in output
    assert "(expected with 3 calibration images: 0% to 50%)" in output
    assert "was not measured: there were no test anomalies." in output
    assert "AUROC" not in output


def test_the_digest_of_a_model_is_that_of_its_manifest_file(model: Path) -> None:
    digest = Bundle.load(model).manifest.digest
    assert digest == hashlib.sha256((model / "manifest.json").read_bytes()).hexdigest()
    assert json.loads((model / "manifest.json").read_text())["sha256"] != digest


def test_a_model_from_before_temperature_scaling_is_read_with_1_and_keeps_its_text(
    model: Path,
) -> None:
    manifest = Bundle.load(model).manifest
    assert manifest.temperature == 1
    assert "temperature" not in manifest.text
    scaled = manifest.model_copy(update={"temperature": 0.8877})
    assert Manifest.parse(scaled.text.encode(), "manifest.json").temperature == 0.8877


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf")])
def test_a_temperature_that_is_none_is_refused(model: Path, temperature: float) -> None:
    values = json.loads((model / "manifest.json").read_text()) | {"temperature": temperature}
    with pytest.raises(ValidationError, match="temperature"):
        Manifest.model_validate({key: x for key, x in values.items() if key != "sha256"})
