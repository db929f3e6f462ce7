"""Each stage's program on files in a temporary folder, and its errors for bad files."""

import gzip
import json
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from belong.calibration import conformal
from belong.data.splits import PARTS
from belong.data.synthetic_anomalies import DERIVED
from belong.detectors.mahalanobis import ClassGaussians
from belong.runtime.storage import load_about, load_arrays, load_csv, save_arrays
from stages import (
    backbone,
    derive,
    embed,
    evaluate,
    extract,
    fit_detectors,
    fit_mahalanobis,
    further,
    pack,
    report,
    score,
    split,
    study_covariance,
    study_promise,
    train,
    train_autoencoder,
    train_head,
)
from tests.imports import ROOT

DATA = ROOT / "tests" / "data"
PARAMS = (
    (DATA / "params.yaml")
    .read_text(encoding="utf-8")
    .replace("path: tests/data", f"path: {DATA}")
    .replace("  epochs: 3", "  epochs: 1")
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all stages, one after the other; return the folder of their outputs."""
    return run_all(tmp_path_factory.mktemp("made"), PARAMS)


def run_all(to: Path, text: str) -> Path:
    """Run all stages in the folder `to` with the text of a params.yaml."""
    params = to / "params.yaml"
    params.write_text(text, encoding="utf-8")
    images, manifest = to / "images", to / "manifest"
    lists = to / "unreadable", to / "ignored"
    pack.main(params, to / "rows", *lists, to / "pack")
    split.main(params, to / "rows", to / "pack", manifest, images)
    derive.main(params, images, to / "derived")
    backbone.main(params, to / "backbone")
    further.main(params, images, to / "further")
    pixels = images, to / "derived", to / "further"
    embed.main(params, to / "backbone", *pixels, to / "embedded")
    inputs = to / "backbone", images, to / "embedded"
    train.main(params, *inputs, to / "history", to / "network")
    train_autoencoder.main(params, images, to / "autoencoder_history", to / "autoencoder")
    networks = to / "backbone", to / "network", to / "autoencoder"
    extract.main(params, *networks, *pixels, to / "embedded", to / "features")
    fit_mahalanobis.main(params, to / "features", to / "gaussians")
    train_head.main(params, to / "features", to / "head_history", to / "head")
    fit_detectors.main(params, to / "network", to / "features", to / "detectors")
    fitted = to / "gaussians", to / "head", to / "detectors"
    score.main(params, manifest, to / "features", *fitted, to / "verdicts", to / "scores")
    results = to / "features", to / "gaussians", to / "scores"
    evaluated = to / "compared", to / "metrics", to / "plots"
    evaluate.main(params, manifest, to / "history", *results, *evaluated)
    measured = to / "metrics", to / "plots"
    vectors = images, to / "features", to / "gaussians", to / "scores"
    study_covariance.main(params, to / "features", to / "acceptance")
    study_promise.main(params, to / "scores", to / "promise", to / "fdr")
    report.main(params, *measured, to / "acceptance", manifest, *vectors, to / "figures")
    return to


def test_split_packs_the_images_that_the_manifest_lists(pipeline: Path) -> None:
    manifest, arrays = pd.read_csv(pipeline / "manifest"), load_arrays(pipeline / "images")
    for part in {*PARTS} - {"left_out/test", "unseen/test"}:
        rows = manifest[manifest["part"] == part]
        assert len(arrays[f"{part}/images"]) == len(rows)
        np.testing.assert_array_equal(arrays[f"{part}/labels"], rows["label"])


def test_train_writes_one_row_for_each_epoch_whose_loss_is_the_sum_of_its_terms(
    pipeline: Path,
) -> None:
    (row,) = pd.read_csv(pipeline / "history").to_dict("records")
    assert row["loss"] == pytest.approx(row["cross_entropy"] + row["center_loss"], rel=1e-4)


def test_extract_gives_the_logits_that_the_classifier_gives_for_its_features(
    pipeline: Path,
) -> None:
    network, arrays = load_arrays(pipeline / "network"), load_arrays(pipeline / "features")
    logits = (
        arrays["normal/test/features"] @ network["classifier.weight"].T + network["classifier.bias"]
    )
    np.testing.assert_allclose(arrays["normal/test/logits"], logits, atol=1e-4)


def test_fit_mahalanobis_takes_the_mean_of_each_class(pipeline: Path) -> None:
    arrays = load_arrays(pipeline / "features", "normal/train/features", "normal/train/labels")
    zeros = arrays["normal/train/features"][arrays["normal/train/labels"] == 0]
    means = load_arrays(pipeline / "gaussians", "means")["means"]
    np.testing.assert_allclose(means[0], zeros.mean(axis=0), atol=1e-5)


def test_score_writes_what_the_fitted_gaussians_say(pipeline: Path) -> None:
    gaussians = ClassGaussians.from_arrays(load_arrays(pipeline / "gaussians"))
    features = load_arrays(pipeline / "features", "anomaly/test/features")["anomaly/test/features"]
    scores = load_arrays(pipeline / "scores", "anomaly/test/mahalanobis")[
        "anomaly/test/mahalanobis"
    ]
    expected = gaussians.score(torch.from_numpy(features))
    np.testing.assert_allclose(scores, expected, rtol=1e-6)  # in batches of another size


def test_a_verdict_is_belongs_exactly_where_the_p_value_is_above_alpha(pipeline: Path) -> None:
    verdicts = pd.read_csv(pipeline / "verdicts")
    assert len(verdicts) == 800
    for name in load_about(pipeline / "scores")["thresholds"]:
        above = verdicts[f"{name}_p_value"] > 0.025
        pd.testing.assert_series_equal(verdicts[f"{name}_belongs"], above, check_names=False)


def test_the_papers_threshold_rejects_its_share_of_training_images_of_each_class(
    pipeline: Path,
) -> None:
    """A class's own threshold rejects 2.5% of its images; another class may still take them."""
    gaussians = ClassGaussians.from_arrays(load_arrays(pipeline / "gaussians"))
    features = load_arrays(pipeline / "features", "normal/train/features")["normal/train/features"]
    scores = gaussians.score(torch.from_numpy(features))
    assert load_about(pipeline / "scores")["thresholds"]["mahalanobis"]["training"] == 1
    assert (scores > 1).float().mean() <= 0.03


def test_a_threshold_from_the_training_images_can_be_put_in_force(
    pipeline: Path, tmp_path: Path
) -> None:
    params = tmp_path / "params.yaml"
    params.write_text(PARAMS.replace("threshold: calibrated", "threshold: training"))
    fitted = pipeline / "gaussians", pipeline / "head", pipeline / "detectors"
    made_now = tmp_path / "verdicts", tmp_path / "scores"
    score.main(params, pipeline / "manifest", pipeline / "features", *fitted, *made_now)
    verdicts = pd.read_csv(tmp_path / "verdicts")
    at_most_one = verdicts["mahalanobis_score"] <= 1
    pd.testing.assert_series_equal(verdicts["mahalanobis_belongs"], at_most_one, check_names=False)


def test_evaluate_reports_the_rates_of_the_verdicts(pipeline: Path) -> None:
    verdicts = pd.read_csv(pipeline / "verdicts")
    normal = verdicts[verdicts["part"] == "normal/test"]
    numbers = pd.read_json(pipeline / "metrics", typ="series")
    detectors, calibration = numbers["detectors"], numbers["calibration"]
    false_reject = float(1 - normal["mahalanobis_belongs"].mean())
    assert detectors["mahalanobis"]["false_reject"] == pytest.approx(false_reject, abs=1e-4)
    assert calibration["false_reject_calibrated"] == pytest.approx(false_reject, abs=1e-4)
    right = (normal["predicted_class"].astype(str) == normal["class_name"].astype(str)).mean()
    assert numbers["classification"]["accuracy"] == pytest.approx(float(right), abs=1e-4)


def test_the_expected_range_is_that_of_the_number_of_images(pipeline: Path) -> None:
    calibration = pd.read_json(pipeline / "metrics", typ="series")["calibration"]
    low, high = conformal.promised_range(400, 500, alpha=0.025)
    expected_range = (
        calibration["false_reject_expected_low"],
        calibration["false_reject_expected_high"],
    )
    assert expected_range == (round(low, 4), round(high, 4))


def test_the_promise_is_studied_with_the_images_that_set_the_threshold_of_each_detector(
    pipeline: Path,
) -> None:
    table = load_csv(pipeline / "promise")
    marginal = table[table["guarantee"] == "marginal"]
    rows = marginal.set_index("detector").to_dict("index")
    assert set(rows) == set(load_about(pipeline / "scores")["thresholds"])
    arrays = load_arrays(pipeline / "scores", "normal/calibration/combined", "normal/test/combined")
    sizes = [rows["combined"][part] for part in ("calibration_images", "fresh_images")]
    assert sizes == [len(scores) for scores in arrays.values()]


def test_a_further_set_is_measured_beside_the_anomalies_and_trains_nothing(tmp_path: Path) -> None:
    """Digits 1 to 8 are normal, 9 is left out, clothes are unseen, 0 is the anomaly."""
    pair = PARAMS.replace("classes: all", "classes: 1-8", 1)
    pair = pair.replace(
        f"{DATA}/fashion-mnist-small\n  classes: all", f"{DATA}/mnist-small\n  classes: 0", 1
    )
    to = run_all(tmp_path, pair)
    matrix = pd.read_csv(to / "plots" / "anomaly_sets.csv")
    sets = matrix.groupby("anomalies")["n_anomalies"].first()
    arrays = load_arrays(to / "images")
    manifest = pd.read_csv(to / "manifest", dtype=str)
    assert sets["unseen"] == 250
    assert sets["left_out"] == (manifest["part"] == "left_out/test").sum()
    assert set(manifest.loc[manifest["part"] == "left_out/test", "class_name"]) == {"9"}
    assert len(arrays["anomaly/head/images"]) == (manifest["part"] == "anomaly/head").sum()
    assert set(manifest.loc[manifest["part"] == "anomaly/head", "class_name"]) == {"0"}


def test_without_anomalies_and_with_few_images_all_that_needs_neither_is_measured(
    tmp_path: Path,
) -> None:
    """The study of few images needs 500 images of a class per feature: more than there are."""
    start, rest = PARAMS.replace("  - 0.5\n  - 1.0\n", "  - 500.0\n").split("anomaly:\n")
    to = run_all(tmp_path, start + "anomaly:\n" + rest.replace("classes: all", "classes: none", 1))
    numbers = json.loads((to / "metrics").read_text())
    head, rest_of = numbers["detectors"].pop("mlp_head"), numbers["detectors"]
    assert head == {"auroc": None, "reason": "there is no anomaly to train it with"}
    assert {one["auroc"] for one in rest_of.values()} == {None}
    assert {one["reason"] for one in rest_of.values()} == {"there are no test anomalies"}
    assert all(0 <= one["false_reject"] < 0.2 for one in rest_of.values())
    sets = pd.read_csv(to / "plots" / "anomaly_sets.csv")["anomalies"]
    assert set(sets) == {*DERIVED, "letters", "unseen"}
    figures = {figure.stem for figure in (to / "figures").iterdir()}
    assert "scores" in figures
    assert not {"roc", "acceptance"} & figures
    assert {one for kind in numbers["floor"].values() for one in kind.values()} == {None}


# --- bad data ------------------------------------------------------------------------------------


def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


def rewritten(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def do(folder: Path) -> None:
        path = folder / f"{file}.gz"
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))

    return do


def without_last_image(content: bytes) -> bytes:
    magic, n, *size = struct.unpack(">4I", content[:16])
    return struct.pack(">4I", magic, n - 1, *size) + content[16 : -28 * 28]


BAD_DATA: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "mnist: no such folder"),
    "a file is missing": (
        lambda folder: (folder / "t10k-labels-idx1-ubyte.gz").unlink(),
        "t10k-labels-idx1-ubyte: no such file",
    ),
    "truncated": (
        rewritten("train-images-idx3-ubyte", lambda content: content[:-1]),
        "train-images-idx3-ubyte.gz: states 2000 x 28 x 28 = 1568000 values but has 1567999",
    ),
    "truncated gzip": (
        lambda folder: (folder / "train-labels-idx1-ubyte.gz").write_bytes(
            (folder / "train-labels-idx1-ubyte.gz").read_bytes()[:-30]
        ),
        "train-labels-idx1-ubyte.gz: cannot be read: Compressed file ended before",
    ),
    "wrong magic number": (
        rewritten("train-images-idx3-ubyte", lambda content: b"\0\0\x0d" + content[3:]),
        "train-images-idx3-ubyte.gz: expected an IDX file of bytes with 3 axes, which starts with "
        "00 00 08 03, got 00 00 0d 03",
    ),
    "a picture": (
        rewritten("t10k-images-idx3-ubyte", lambda _: b"\x89PNG\r\n\x1a\n and so on"),
        "t10k-images-idx3-ubyte.gz: expected an IDX file",
    ),
    "counts differ": (
        rewritten("train-images-idx3-ubyte", without_last_image),
        "mnist: train-images-idx3-ubyte.gz has 1999 images but train-labels-idx1-ubyte.gz has "
        "2000 labels",
    ),
    "test label out of range": (
        rewritten("t10k-labels-idx1-ubyte", lambda content: content[:-1] + b"\x63"),
        "mnist: expected test labels 0 to 9, as in training, got 99 (image 499)",
    ),
    "training label out of range": (
        rewritten("train-labels-idx1-ubyte", lambda content: content[:-1] + b"\x63"),
        "mnist: expected training labels 0 to 99 without a gap, got no image of class 10",
    ),
    "a class without an image": (
        rewritten(
            "train-labels-idx1-ubyte",
            lambda content: content[:8] + content[8:].replace(b"\3", b"\4"),
        ),
        "mnist: expected training labels 0 to 9 without a gap, got no image of class 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_line_and_leaves_the_last_good_outputs(case: str, tmp_path: Path) -> None:
    spoil, message = BAD_DATA[case]
    folder = tmp_path / "mnist"
    shutil.copytree(DATA / "mnist-small", folder)
    spoil(folder)
    params = PARAMS.replace(str(DATA / "mnist-small"), str(folder))
    outputs = ("pack.csv", "unreadable.csv", "ignored.csv", "pack.safetensors")
    assert_refused("pack", params, (), outputs, message, tmp_path)


@pytest.mark.parametrize(
    ("normal", "anomaly", "message"),
    [
        ("{classes: [7, 12], path: M}", "{classes: all, path: F}",
         "expected one of the 10 classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, got 12"),
        ("{classes: all, path: M}", "{classes: 0, path: M}", "got 0 in both"),
        ("{classes: 0-4, path: M}", "{classes: 4-9, path: M/.}", "got 4 in both"),
        ("{classes: 4, path: M}", "{classes: all, path: F}",
         "normal.classes: expected at least 2 classes of"),
        ("{classes: [], path: M}", "{classes: all, path: F}", "classes: expected all, a list"),
        ("{classes: [1, '1'], path: M}", "{classes: all, path: F}",
         "classes: expected each class once, got 1 twice"),
    ],
)  # fmt: skip
def test_a_choice_of_classes_that_cannot_be_is_one_line(
    normal: str, anomaly: str, message: str, tmp_path: Path
) -> None:
    start, rest = PARAMS.split("normal:\n")
    rest = rest.split("unseen:\n", 1)[1]
    text = f"normal: {normal}\nanomaly: {anomaly}\nunseen:\n"
    text = text.replace("path: M", f"path: {DATA}/mnist-small")
    text = text.replace("path: F", f"path: {DATA}/fashion-mnist-small")
    params = tmp_path / "params.yaml"
    params.write_text(start + text + rest, encoding="utf-8")
    files = tmp_path / "rows", tmp_path / "pack"
    pack.main(params, files[0], tmp_path / "unreadable", tmp_path / "ignored", files[1])
    outputs = ("manifest.csv", "images.safetensors")
    assert_refused("split", start + text + rest, files, outputs, message, tmp_path)


def assert_refused(
    stage: str,
    params: str,
    inputs: tuple[Path, ...],
    names: tuple[str, ...],
    message: str,
    folder: Path,
) -> None:
    """Run a stage with these parameters over outputs of an earlier run."""
    (folder / "params.yaml").write_text(params, encoding="utf-8")
    outputs = [folder / name for name in names]
    for output in outputs:
        output.write_text("the last good one")
    before = sorted(path.name for path in folder.iterdir())
    process = run(f"stages.{stage}", folder / "params.yaml", *inputs, *outputs)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"{stage}: ")
    assert message in line
    assert {output.read_text() for output in outputs} == {"the last good one"}
    assert sorted(path.name for path in folder.iterdir()) == before


@pytest.mark.parametrize(
    ("line", "instead", "messages"),
    [
        ("  learning_rate: 0.05", "  learning_rate: 100000000.0",
         [*["train: the loss is nan after epoch 1"] * 3, "train: the training failed 4 times"]),
        pytest.param(
            "device: auto", "device: cuda",
            ["train: device: expected auto or cpu, as torch finds no GPU, got cuda"],
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
    ],
)  # fmt: skip
def test_a_training_that_cannot_be_is_a_line_for_each_attempt_and_leaves_the_last_network(
    pipeline: Path, tmp_path: Path, line: str, instead: str, messages: list[str]
) -> None:
    assert PARAMS.count(line) == 1
    (tmp_path / "params.yaml").write_text(PARAMS.replace(line, instead), encoding="utf-8")
    network = tmp_path / "network"
    network.write_text("the last good one")
    inputs = (pipeline / name for name in ("backbone", "images", "embedded"))
    process = run("stages.train", tmp_path / "params.yaml", *inputs, tmp_path / "history", network)
    assert process.returncode == 2
    for stderr_line, message in zip(process.stderr.splitlines(), messages, strict=True):
        assert stderr_line.startswith(message)
    assert network.read_text() == "the last good one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["network", "params.yaml"]


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 100], ids=repr)
def test_a_damaged_artefact_is_one_line(pipeline: Path, tmp_path: Path, content: bytes) -> None:
    damaged = tmp_path / "features"
    damaged.write_bytes(content)
    process = run("stages.fit_mahalanobis", pipeline / "params.yaml", damaged, tmp_path / "out")
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"fit_mahalanobis: {damaged}: cannot be read as safetensors: ")


def test_features_that_are_not_finite_name_the_image(pipeline: Path, tmp_path: Path) -> None:
    arrays = load_arrays(pipeline / "features")
    features = arrays["normal/train/features"].copy()
    features[7, 3] = np.nan
    about = load_about(pipeline / "features")
    save_arrays(tmp_path / "features", arrays | {"normal/train/features": features}, about)
    files = pipeline / "params.yaml", tmp_path / "features", tmp_path / "out"
    process = run("stages.fit_mahalanobis", *files)
    expected = "fit_mahalanobis: the features of training image 7 are not finite\n"
    assert (process.returncode, process.stderr) == (2, expected)
