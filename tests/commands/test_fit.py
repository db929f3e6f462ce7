"""`belong fit` on a folder of images per class: the steps of the pipeline, without DVC."""

import fcntl
import html
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import belong
from belong.commands.fit import fit, fitting, recipe
from belong.commands.fit.fit import summary
from belong.commands.fit.requirements import unmet
from belong.commands.fit.settings import DEFAULTS, setting
from belong.commands.fit.work_folder import KEY
from belong.commands.fit.workspace import Workspace
from belong.commands.main import main
from belong.data.idx import read
from belong.data.synthetic_anomalies import DERIVED
from belong.prediction.bundle import Bundle
from belong.runtime.errors import InputError
from belong.runtime.text import percent
from tests.imports import ROOT
from tests.small_manifest import a_manifest

pytestmark = pytest.mark.pipeline

DIGITS = ROOT / "tests" / "data" / "mnist-small"
QUICK = ("train.epochs=25", "autoencoder.epochs=2", "derive.images=50",
         "detectors.code_iforest.trees=20", "evaluate.resamples=50")  # fmt: skip


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 real digits of each class as PNG files, and one file that is no image."""
    data, folder = read(DIGITS), tmp_path_factory.mktemp("photos")
    for label, name in enumerate(data.class_names):
        (folder / name).mkdir()
        for row in np.flatnonzero(data.labels == label)[:200]:
            Image.fromarray(data.images[row, 0]).save(folder / name / f"{row}.png")
    (folder / "3" / "broken.jpg").write_text("no image")
    return folder


@pytest.fixture(scope="module")
def model(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("models") / "model"
    settings = [word for one in QUICK for word in ("--set", one)]
    assert main(["fit", str(digits), "-o", str(to), "--alpha", "0.05", *settings]) == 0
    return to


def test_a_folder_of_images_becomes_a_whole_model_and_nothing_else_is_left(model: Path) -> None:
    bundle = Bundle.load(model)
    assert bundle.manifest.class_names == list("0123456789")
    assert (bundle.manifest.alpha, bundle.manifest.network) == (0.05, "lenet")
    assert "<html" in (model / "report.html").read_text(encoding="utf-8")
    assert [path.name for path in model.parent.iterdir()] == ["model"]


def test_the_model_knows_a_digit_and_rejects_noise(model: Path, tmp_path: Path) -> None:
    data = read(DIGITS)
    images = tmp_path / "new"
    images.mkdir()
    test_rows = np.flatnonzero(data.is_test)[:40]
    for row in test_rows:
        Image.fromarray(data.images[row, 0]).save(images / f"digit-{row}.png")
    noise = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    for row, image in enumerate(noise):
        Image.fromarray(image).save(images / f"noise-{row}.png")
    assert main(["score", str(images), "--model", str(model), "-o", str(tmp_path / "out")]) == 0
    lines = (tmp_path / "out" / "predictions.csv").read_text(encoding="utf-8").splitlines()
    belongs = {line.split(",")[0]: line.split(",")[3] == "True" for line in lines[1:]}
    digits_in = [verdict for path, verdict in belongs.items() if path.startswith("digit")]
    noise_in = [verdict for path, verdict in belongs.items() if path.startswith("noise")]
    assert sum(digits_in) >= 34  # 2 of 40 are expected to be rejected
    assert sum(noise_in) == 0
    page = (tmp_path / "out" / "gallery.html").read_text(encoding="utf-8")
    assert all(f"noise-{row}.png" in page for row in range(20))


def test_a_plan_is_printed_and_nothing_is_written(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(digits), "-o", str(tmp_path / "model"), "--plan"]) == 0
    output = capsys.readouterr().err
    assert "2,001 images of 10 classes, at least 200 per class (0)" in output
    assert "network: lenet at 28 px" in output
    assert re.search(
        r"^estimated time: about [\d.]+ \w+ \([\d.]+ \w+ to [\d.]+ \w+\), at the",
        output,
        re.MULTILINE,
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere"], "belong fit: nowhere: no such folder"),
        ([str(DIGITS), "--set", "train.epoch=3"],
         "belong fit: --set: train.epoch: unknown key; the nearest known key is train.epochs"),
        ([str(DIGITS), "--set", "calibration.alpha=2.0"],
         "belong fit: --set: calibration.alpha: expected less than 1, got 2.0"),
        ([str(DIGITS), "--set", "seed"], "belong fit: --set seed: expected KEY=VALUE"),
        ([str(DIGITS), "--plan", "--anomalies", "nowhere"], "belong fit: nowhere: no such folder"),
        ([str(DIGITS), "--plan", "--anomalies", str(DIGITS)],
         f"belong fit: {DIGITS}: expected another folder for the anomalies, got that of the "
         "normal images"),
        ([str(DIGITS), "--plan", "--weights", "nowhere.safetensors"],
         f"belong fit: {Path('nowhere.safetensors').resolve()}: no such file; expected a file of "),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", *words, "-o", str(tmp_path / "model")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--alpha=2", "argument --alpha: expected a number between 0 and 1 (exclusive), got '2'"),
        ("--threads=0", "argument --threads: expected a whole number of at least 1, got '0'"),
        ("--seed=-1", "argument --seed: expected a whole number of at least 0, got '-1'"),
    ],
)
def test_a_number_that_cannot_be_is_refused_under_the_name_that_it_was_given_by(
    option: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as error:
        main(["fit", str(DIGITS), "-o", str(tmp_path / "model"), option])
    assert error.value.code == 2
    assert message in capsys.readouterr().err


def test_the_printed_plan_has_the_settings_of_the_user(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--set", "train.epochs=7", "--set", "train.batch_size=50"]
    assert main(["fit", str(digits), "-o", str(tmp_path / "model"), "--plan", *options]) == 0
    assert re.search(
        r"training: [\d,]+ images, 7 epochs in batches of 50; ", capsys.readouterr().err
    )


def test_a_model_that_is_there_is_not_written_over(
    model: Path, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in model.iterdir()}
    assert main(["fit", str(digits), "-o", str(model)]) == 2
    assert "exists already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in model.iterdir()} == before


def test_the_work_folder_of_a_run_killed_after_its_last_stage_is_removed(
    digits: Path, tmp_path: Path
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / ".model.work").mkdir()
    for name in (KEY, "pack.safetensors"):
        (tmp_path / ".model.work" / name).touch()
    assert main(["fit", str(digits), "-o", str(tmp_path / "model")]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_while_a_model_is_made_no_other_process_makes_it(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_paths = []

    def make(_job: object, model: Path) -> None:
        with model.with_name(f".{model.name}.lock").open() as lock:
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lock_paths.append(model)

    monkeypatch.setattr(fit, "make", make)
    assert main(["fit", str(digits), "-o", str(tmp_path / "model")]) == 0
    assert lock_paths == [tmp_path / "model"]


def test_a_model_among_its_images_is_refused(
    digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", str(digits), "-o", str(digits / "model")]) == 2
    assert f"outside of {digits}, where it would count as a class" in capsys.readouterr().err
    assert not list(digits.glob("*model*"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.b=3", ("a.b", 3)),
        ("x=true", ("x", True)),
        ("x=[1, 2]", ("x", [1, 2])),
        ("x=a=b", ("x", "a=b")),
    ],
)
def test_a_setting_is_read_as_yaml(text: str, expected: tuple[str, object]) -> None:
    assert setting(text) == expected


def test_a_setting_that_is_no_yaml_is_one_line() -> None:
    with pytest.raises(InputError, match=r"--set x=\[1: not valid YAML"):
        setting("x=[1")


def test_a_model_says_how_well_it_classifies_what_it_was_not_fitted_to(model: Path) -> None:
    bundle = Bundle.load(model)
    measured = bundle.manifest.measured
    assert measured.normal_images == 400  # a fifth of each class
    lines = summary(bundle.manifest, model).splitlines()
    assert lines[0].startswith(f"The accuracy is {measured.accuracy:.3f} on 400 test images (95% ")
    assert f"of 400 test images ({percent(measured.false_reject)}) are rejected, " in lines[2]
    assert lines[2].endswith(" expected for a promised rate of 5%.")
    assert lines[3].startswith("There are no test anomalies; of 300 synthetic anomalies, ")
    assert lines[-2] == f"See also `belong info {model}`."
    assert measured.accuracy is not None
    assert measured.accuracy > 0.8
    assert measured.auroc is None  # no anomalies were given


def test_the_summary_of_a_model_says_what_its_manifest_says(model: Path) -> None:
    manifest = json.loads((model / "manifest.json").read_text(encoding="utf-8"))
    summary_json = json.loads((model / "summary.json").read_text(encoding="utf-8"))
    assert summary_json["model"]["manifest_sha256"] == Bundle.load(model).manifest.digest
    shared = ("class_names", "alpha", "measured", "assessment")
    assert {key: summary_json[key] for key in shared} == {key: manifest[key] for key in shared}


def test_the_numbers_of_the_assessment_are_the_measured_ones(model: Path) -> None:
    manifest = Bundle.load(model).manifest
    assessment, measured = manifest.assessment, manifest.measured
    assert assessment.accuracy is not None
    assert round(assessment.accuracy.value, 4) == measured.accuracy
    assert round(assessment.false_rejects.value, 4) == measured.false_reject
    assert assessment.accuracy.of == assessment.false_rejects.of == measured.normal_images
    assert {one.kind: one.images for one in assessment.synthetic} == dict.fromkeys(DERIVED, 50)


def test_the_report_and_the_card_say_what_fit_says(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assessment = Bundle.load(model).manifest.assessment
    assert main(["info", str(model)]) == 0
    card = " ".join(capsys.readouterr().out.split())
    page = html.unescape((model / "report.html").read_text(encoding="utf-8"))
    for sentence in assessment.sentences.values():
        assert sentence in card
    for subject in ("accuracy", "confusion", "false rejects", "anomalies"):
        assert assessment.sentences[subject] in page
    assert assessment.verdict in card


@pytest.fixture(scope="module")
def two_classes(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """70 digits of each of two classes."""
    folder = tmp_path_factory.mktemp("pair")
    for name in "01":
        (folder / name).mkdir()
        for file in sorted((digits / name).iterdir())[:70]:
            shutil.copy2(file, folder / name)
    return folder


HURRIED = [word for one in ("train.epochs=10", *QUICK[1:]) for word in ("--set", one)]


def test_a_model_that_misses_a_requirement_is_saved_and_ends_with_its_own_exit_code(
    two_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    required = ["--require", "false_reject=0", "--require", "accuracy=1"]
    words = ["fit", str(two_classes), "-o", str(model), "--alpha", "0.2", *HURRIED, *required]
    assert main(words) == 5
    measured = Bundle.load(model).manifest.measured
    assert measured.accuracy is not None
    missed = [
        *[f"false_reject is {measured.false_reject:.4f}, expected at most 0"]
        * (measured.false_reject > 0),
        *[f"accuracy is {measured.accuracy:.4f}, expected at least 1"] * (measured.accuracy < 1),
    ]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"belong fit: {model}: is saved, but {'; '.join(missed)}"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_in_python_the_error_has_the_model(two_classes: Path, tmp_path: Path) -> None:
    settings = dict(setting(one) for one in ("train.epochs=10", *QUICK[1:]))

    def fit_to(folder: Path, require: dict[str, float]) -> belong.Model:
        return belong.fit(two_classes, folder, alpha=0.2, settings=settings, require=require)

    with pytest.raises(belong.RequirementError) as error:
        fit_to(tmp_path / "missed", {"accuracy": 1, "false_reject": 0})
    assert error.value.model.predict(two_classes / "0").belongs.shape == (70,)
    fitted = fit_to(tmp_path / "met", {"accuracy": 0, "false_reject": 1})
    assert fitted.folder == tmp_path / "met"


@pytest.mark.parametrize(
    ("require", "message"),
    [
        (["acuracy=0.9"], "require: acuracy: unknown key; the nearest known key is accuracy"),
        (["false_rejects=0.9"],
         "require: false_rejects: unknown key; the nearest known key is false_reject"),
        (["accuracy=90"], "require: accuracy: expected a number from 0 to 1, got 90.0"),
        (["accuracy=nan"], "require: accuracy: expected a number from 0 to 1, got nan"),
        (["accuracy>0.9"], "--require accuracy>0.9: expected KEY=NUMBER, such as accuracy=0.9"),
        (["accuracy=high"], "--require accuracy=high: expected KEY=NUMBER, such as accuracy=0.9"),
        (["accuracy=0.9", "accuracy=0.8"], "--require accuracy: expected once, got 2"),
        (["auroc=0.9"],
         "require: auroc: expected a folder of test anomalies, got none"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("plan", [["--plan"], []])
def test_a_requirement_that_cannot_be_is_refused_before_any_work(
    require: list[str], message: str, plan: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = [word for one in require for word in ("--require", one)]
    assert main(["fit", "nowhere", "-o", str(tmp_path / "model"), *words, *plan]) == 2
    assert capsys.readouterr().err.splitlines() == [f"belong fit: {message}"]
    assert not list(tmp_path.iterdir())


def test_requirements_have_to_be_known_keys_with_numbers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="require: expected a mapping of keys to numbers"):
        belong.fit("nowhere", tmp_path / "model", require=0.9)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("required", "missed"),
    [
        ({"accuracy": 0.5, "false_reject": 0.5, "auroc": 0.9, "false_accept": 0.2}, []),
        ({"accuracy": 0.51}, ["accuracy is 0.5000, expected at least 0.51"]),
        ({"auroc": 0.91}, ["auroc is 0.9000, expected at least 0.91"]),
        ({"false_reject": 0.4}, ["false_reject is 0.5000, expected at most 0.4"]),
        ({"false_accept": 0.1}, ["false_accept is 0.2000, expected at most 0.1"]),
    ],
)
def test_accuracy_and_auroc_have_a_least_number_and_errors_have_a_largest(
    required: dict[str, float], missed: list[str]
) -> None:
    measured = a_manifest().measured.model_copy(update={"auroc": 0.9, "false_accept": 0.2})
    assert unmet(measured, required) == missed


def test_a_requirement_that_was_not_measured_is_not_met() -> None:
    missed = unmet(a_manifest().measured, {"false_reject": 1.0}, tests_itself=True)
    assert missed == ["false_reject was not measured: the test images also calibrate the threshold"]
    missed = unmet(a_manifest().measured, {"auroc": 0.0})
    assert missed == ["auroc was not measured: there are no test anomalies"]


def test_more_unreadable_images_than_allowed_stop_before_the_training_and_leave_nothing(
    digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(digits, tmp_path / "photos")
    for number in range(30):
        (tmp_path / "photos" / "3" / f"empty {number}.png").touch()
    assert main(["fit", str(tmp_path / "photos"), "-o", str(tmp_path / "model")]) == 3
    output = capsys.readouterr().err
    assert "unreadable images (images.max_bad_fraction), got 31 of 2031 (1.5%)" in output
    assert "; `belong check -o OUT` lists them, the first: 3/broken.jpg" in output
    assert "train:" not in output
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


# --- interruptions -------------------------------------------------------------------------------

SETTINGS = [word for one in ("train.epochs=5", *QUICK[1:]) for word in ("--set", one)]


@pytest.fixture(scope="module")
def three_classes(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 digits of each of three classes."""
    folder = tmp_path_factory.mktemp("few")
    for name in "012":
        (folder / name).mkdir()
        for file in sorted((digits / name).iterdir())[:60]:
            shutil.copy2(file, folder / name)
    return folder


def words(three_classes: Path, model: Path, *more: str) -> list[str]:
    return ["fit", str(three_classes), "-o", str(model), "--alpha", "0.05", *SETTINGS, *more]


BREAKS_OFF = """
import os, signal, sys, threading
from belong.commands.fit import fit
from belong.commands.main import main

step, seconds, by = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
told = fit.say

def say(text):
    told(text)
    if text.startswith(f"{step}: ") and seconds:
        threading.Timer(seconds, os.kill, (os.getpid(), by)).start()
    elif text.startswith(f"{step}: "):
        os.kill(os.getpid(), by)

fit.say = say
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
sys.exit(main(sys.argv[4:]))
"""


def run_and_interrupt(
    arguments: list[str], stage: str, seconds: float, by: signal.Signals
) -> tuple[int, str]:
    """Run the command and interrupt it `seconds` after a stage begins; return code and stderr."""
    process = subprocess.run(
        [sys.executable, "-c", BREAKS_OFF, stage, str(seconds), str(int(by)), *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return process.returncode, process.stderr


def test_a_fit_that_is_killed_and_interrupted_gives_the_bytes_of_one_that_is_not(
    three_classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = random.Random(0)  # noqa: S311  the moments
    model = tmp_path / "model"
    first = draw.choice(("train", "train_autoencoder"))
    second = draw.choice(("extract", "fit_detectors", "score", "evaluate"))
    code, _ = run_and_interrupt(
        words(three_classes, model), first, draw.random() / 10, signal.SIGKILL
    )
    assert code == -signal.SIGKILL
    code, output = run_and_interrupt(words(three_classes, model), second, 0, signal.SIGINT)
    assert code == 130
    assert f"{model}: resumes at the stage " in output
    assert output.endswith(
        f"belong fit: interrupted; {tmp_path}/.model.work keeps the progress; run the same command "
        f"to resume\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == [".model.work"]
    assert main(words(three_classes, model)) == 0
    second_output = capsys.readouterr().err
    # The backbone and the head are not part of this model and are not mentioned.
    assert not re.search("^(embed|train_head): ", output + second_output, re.MULTILINE)
    assert f"{model}: resumes at the stage extract" in second_output
    # Finished stages do not run again.
    assert not re.search("^(pack|split|train|train_autoencoder): ", second_output, re.MULTILINE)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert main(words(three_classes, tmp_path / "undisturbed")) == 0
    files = {path.name: path.read_bytes() for path in model.iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "undisturbed").iterdir()}


def interrupt(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("change", ["image", "setting"])
def test_results_of_other_images_or_settings_are_not_reused(
    three_classes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: str,
) -> None:
    images, model = tmp_path / "images", tmp_path / "model"
    shutil.copytree(three_classes, images)
    monkeypatch.setattr(fitting, "fit_classifier", interrupt)
    for _ in range(2):
        assert main(words(images, model)) == 130
    assert "resumes at the stage train" in capsys.readouterr().err
    monkeypatch.setattr(recipe, "pack_all", interrupt)
    if change == "image":
        os.utime(min((images / "0").iterdir()), (1, 1))
    assert main(words(images, model, *["--seed=1"] * (change == "setting"))) == 130
    output = capsys.readouterr().err
    assert f"starting over; {tmp_path}/.model.work is of other images, settings or " in output
    assert "resumes at" not in output


def test_the_defaults_are_the_parameters_of_the_project() -> None:
    assert DEFAULTS.resolve() == ROOT / "params.yaml"


# --- what is kept --------------------------------------------------------------------------------


def value_kept(folder: Path, value: int, key: str = "key") -> int:
    """Return the value stored under a key, or store this one."""
    arrays, about = Workspace(folder, key).keep(
        "one", lambda: ({"value": np.array([value])}, {"value": value})
    )
    assert about["value"] == arrays["value"][0]
    return int(arrays["value"][0])


def test_stored_values_are_not_computed_again(tmp_path: Path) -> None:
    assert value_kept(tmp_path / "work", 1) == 1
    assert value_kept(tmp_path / "work", 2) == 1
    assert not Workspace(tmp_path / "work", "key").is_other


def test_a_result_that_was_cut_off_is_computed_again(tmp_path: Path) -> None:
    value_kept(tmp_path / "work", 1)
    file = tmp_path / "work" / "one.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert not Workspace(tmp_path / "work", "key").has("one")
    assert value_kept(tmp_path / "work", 2) == 2


def test_a_result_without_its_sum_is_computed_again(tmp_path: Path) -> None:
    """The process was killed between the two writes."""
    value_kept(tmp_path / "work", 1)
    (tmp_path / "work" / "one.sha256").unlink()
    assert value_kept(tmp_path / "work", 2) == 2


def test_values_of_another_or_an_incomplete_key_are_discarded(tmp_path: Path) -> None:
    value_kept(tmp_path / "work", 1)
    assert value_kept(tmp_path / "work", 2, "another") == 2
    (tmp_path / "work" / "key").write_text("anoth")
    assert Workspace(tmp_path / "work", "another").is_other
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["key"]
