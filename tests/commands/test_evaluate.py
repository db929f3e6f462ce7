"""`belong evaluate` and `belong.evaluate`: vectors in, scoreboard, report and verdicts out."""

import errno
import json
import os
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from sklearn.metrics import roc_auc_score

import belong
from belong.commands.evaluate.array_file import open_npy, open_safetensors
from belong.commands.evaluate.inputs import rows_of
from belong.commands.main import main
from belong.detectors.panel import PANEL, FeatureKnn, Fitted
from belong.runtime.unfinished import mark

N, D, C = 300, 6, 3
FEW = ["energy", "feature_knn", "mahalanobis"]


class Network:
    """Vectors of a network: training rows, normal test rows, anomalies."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        centers = 3 * rng.normal(size=(C, D))
        self.labels, self.test_labels = rng.integers(0, C, (2, N))
        noise = rng.normal(size=(2, N, D))
        self.train = (centers[self.labels] + noise[0]).astype(np.float32)
        self.test = (centers[self.test_labels] + noise[1]).astype(np.float32)
        self.odd = rng.normal(0, 2, (40, D)).astype(np.float32)
        self.weight = centers.astype(np.float32)
        self.bias = (-(centers**2).sum(axis=1) / 2).astype(np.float32)

    def logits(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(features @ self.weight.T + self.bias)

    def evaluate(self, **options: Any) -> "belong.Evaluation":
        arguments = {
            "labels": self.labels, "weight": self.weight, "bias": self.bias, "detectors": FEW
        } | options  # fmt: skip
        test = arguments.pop("test", {"features": self.test, "labels": self.test_labels})
        odd = arguments.pop("odd", self.odd)
        return belong.evaluate(arguments.pop("train", self.train), test, odd, **arguments)


@pytest.fixture(scope="module")
def network() -> Network:
    return Network()


@pytest.fixture
def folder(network: Network, tmp_path: Path) -> Path:
    """Write the same rows as .npy, .npz, .safetensors, and as a folder of .npy files."""
    np.save(tmp_path / "train.npy", network.train)
    np.save(tmp_path / "labels.npy", network.labels)
    np.savez(tmp_path / "head.npz", weight=network.weight, bias=network.bias)
    test = {"features": network.test, "labels": network.test_labels}
    np.savez(tmp_path / "test.npz", **test, logits=network.logits(network.test))
    save_file(test, tmp_path / "test.safetensors")
    (tmp_path / "test").mkdir()
    for name, array in test.items():
        np.save(tmp_path / "test" / f"{name}.npy", array)
    np.save(tmp_path / "odd.npy", network.odd)
    half = torch.from_numpy(network.odd)
    save_tensors({"features": half.half()}, tmp_path / "half.safetensors")
    return tmp_path


def test_the_scoreboard_has_the_auroc_of_scikit_learn(network: Network) -> None:
    result = network.evaluate(odd={"odd": network.odd, "shifted": network.test + 9})
    assert len(result.scoreboard) == 2 * len(FEW)
    for row in result.scoreboard.to_dict("records"):
        fitted = PANEL[row["detector"]].fit(
            network.train, network.labels, weight=network.weight, bias=network.bias
        )
        odd = network.odd if row["anomalies"] == "odd" else network.test + 9
        scores = np.concatenate([fitted.score(network.test), fitted.score(odd)])
        truth = np.repeat([0, 1], [N, len(odd)])
        assert row["auroc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        assert row["auroc_low"] <= row["auroc"] <= row["auroc_high"]
    means = result.scoreboard.groupby("detector", sort=False)["auroc"].mean()
    assert means.is_monotonic_decreasing


def test_half_of_the_test_rows_calibrate_and_the_verdicts_are_those_of_the_others(
    network: Network,
) -> None:
    result = network.evaluate()
    table = result.verdicts()
    rows = table.loc[table["set"] == "normal_test", "row"]
    assert len(rows) == N // 2 == result.summary["calibration_rows"]
    assert len(table) == N // 2 + len(network.odd)
    for name in FEW:
        held_out = result.calibration[name]
        score = table[f"{name}_score"].to_numpy()
        p = (1 + (held_out >= score[:, None]).sum(axis=1)) / (1 + len(held_out))
        np.testing.assert_allclose(table[f"{name}_p_value"], p)
        assert (table[f"{name}_belongs"] == (p > 0.025)).all()


def test_rows_of_ones_own_calibrate_and_all_test_rows_are_judged(network: Network) -> None:
    held_out = network.test[:100]
    result = network.evaluate(calibration=held_out, test=network.test[100:])
    assert result.summary["calibration_rows"] == 100
    assert (result.verdicts()["set"] == "normal_test").sum() == N - 100
    assert not [note for note in result.notes if "half" in note]


def test_the_command_gives_what_the_function_gives(
    network: Network, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(folder / "weight.npy", network.weight)
    code = main([
        "evaluate", str(folder / "train.npy"), str(folder / "test.npz"), str(folder / "odd.npy"),
        f"half={folder / 'half.safetensors'}", "--labels", str(folder / "labels.npy"),
        "--weight", str(folder / "weight.npy"), "--bias", str(folder / "head.npz"),
        "--detectors", ",".join(FEW), "-o", str(folder / "out"),
        "--save-panel", str(folder / "panel"),
    ])  # fmt: skip
    printed = capsys.readouterr()
    assert code == 0, printed.err
    expected = network.evaluate(odd={"odd": network.odd, "half": network.odd.astype(np.float16)})
    board = pd.read_csv(folder / "out" / "scoreboard.csv")
    pd.testing.assert_frame_equal(board, expected.scoreboard, rtol=1e-5, check_dtype=False)
    assert printed.out.startswith(expected.table)
    assert (folder / "out" / "scoreboard.txt").read_text() == expected.text + "\n"
    assert json.loads((folder / "out" / "summary.json").read_text()) == expected.summary
    verdicts = pd.read_csv(folder / "out" / "verdicts.csv")
    pd.testing.assert_frame_equal(verdicts, expected.verdicts(), rtol=1e-5, check_dtype=False)
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert all(f">{name}</span>" in page for name in FEW)
    of_odd = expected.scoreboard.query("anomalies == 'odd'")
    best = of_odd.nlargest(1, "auroc").iloc[0]
    assert f"{best['detector']} separates odd best: AUROC {best['auroc']:.4f}." in page
    second_words = [
        "evaluate", str(folder / "panel"), str(folder / "test"), str(folder / "odd.npy"),
        f"half={folder / 'half.safetensors'}", "-o", str(folder / "again"), "--no-verdicts",
    ]  # fmt: skip
    assert main(second_words) == 0
    for name in ("scoreboard.csv", "summary.json"):
        first, second = (folder / run / name for run in ("out", "again"))
        assert first.read_bytes() == second.read_bytes()
    assert not (folder / "again" / "verdicts.csv").exists()


@pytest.mark.parametrize("panel", ["new", "new/../new", "."])
def test_a_panel_that_would_hold_the_results_is_refused_before_any_work(
    folder: Path, panel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["evaluate", "missing.npy", "missing.npy", "missing.npy", "-o", str(folder / "a/new")]
    assert main([*words, "--save-panel", str(folder / "a" / panel)]) == 2
    output = capsys.readouterr().err
    assert "--save-panel: expected a folder that neither is nor contains --output" in output
    assert not (folder / "a").exists()


def test_a_name_of_a_set_does_nothing_to_a_terminal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd_name = (folder / "odd.npy").rename(folder / "a\x1b[2J\nb.npy")
    words = ["evaluate", str(folder / "train.npy"), str(folder / "test"), str(odd_name)]
    assert main([*words, "--detectors", "feature_knn", "-o", str(folder / "new\x1b[31m")]) == 0
    output = capsys.readouterr()
    assert r"| a\x1b[2J\nb |" in output.out
    assert "\x1b" not in output.out + output.err


def test_the_results_of_another_unfinished_run_are_kept(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark(folder / "new", "of another run")
    words = ["evaluate", "missing.npy", "missing.npy", "missing.npy", "-o", str(folder / "new")]
    assert main([*words, "--save-panel", str(folder / "panel")]) == 2
    assert "new: exists already" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["test.npz", "test.safetensors", "test"])
def test_every_kind_of_file_has_the_same_scores(network: Network, folder: Path, file: str) -> None:
    expected = network.evaluate().scoreboard
    pd.testing.assert_frame_equal(network.evaluate(test=folder / file).scoreboard, expected)
    file_and_array = {"features": folder / "test" / "features.npy", "labels": network.test_labels}
    pd.testing.assert_frame_equal(network.evaluate(test=file_and_array).scoreboard, expected)


def test_tensors_of_any_type_are_taken(network: Network) -> None:
    expected = network.evaluate().scoreboard
    result = network.evaluate(
        train=torch.from_numpy(network.train).double().requires_grad_(),
        labels=torch.from_numpy(network.labels).to(torch.uint8),
        weight=torch.nn.Parameter(torch.from_numpy(network.weight)),
    )
    pd.testing.assert_frame_equal(result.scoreboard, expected)
    rounded = network.evaluate(odd=torch.from_numpy(network.odd).bfloat16()).scoreboard
    np.testing.assert_allclose(rounded["auroc"], expected["auroc"], atol=0.01)


def test_rows_are_scored_part_by_part(
    network: Network, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = network.evaluate()
    monkeypatch.setattr("belong.commands.evaluate.inputs.PART", 7)
    monkeypatch.setattr("belong.commands.evaluate.evaluate.IN_MEMORY", 0)
    monkeypatch.setattr("belong.commands.evaluate.evaluate.ROWS_OF_TABLE", 11)
    result = network.evaluate(test=folder / "test.safetensors", output=folder / "parts")
    pd.testing.assert_frame_equal(result.scoreboard, expected.scoreboard, rtol=1e-5)
    table = pd.read_csv(folder / "parts" / "verdicts.csv")
    pd.testing.assert_frame_equal(table, expected.verdicts(), rtol=1e-4, check_dtype=False)


def test_many_rows_are_subsampled_and_small_classes_keep_all_rows(network: Network) -> None:
    labels = np.where(np.arange(N) < 10, 2, network.labels % 2)
    panel = belong.fit_panel(network.train, labels=labels, most_rows=60, detectors=["feature_knn"])
    assert panel.notes[0].endswith(" of 300 rows, drawn at random")
    fitted = panel.detectors["feature_knn"]
    assert isinstance(fitted, Fitted)
    arrays = fitted.detector.arrays()
    first = network.train[:10] / np.linalg.norm(network.train[:10], axis=1, keepdims=True)
    is_kept = (np.abs(arrays["directions"][:, None] - first).max(axis=2) < 1e-6).any(axis=0)
    assert is_kept.all()


def test_many_verdicts_are_written_only_where_somebody_says_so(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("belong.commands.evaluate.evaluate.MOST_VERDICTS", 3 * (N // 2 + 39))
    network.evaluate(output=tmp_path / "many")
    network.evaluate(output=tmp_path / "asked", verdicts=True)
    network.evaluate(output=tmp_path / "few", odd=network.odd[:39])
    folders = {path.parent.name for path in tmp_path.glob("*/verdicts.csv")}
    assert folders == {"asked", "few"}


class Nearest:
    """A user's own detector."""

    def fit(self, features: np.ndarray, labels: np.ndarray | None) -> "Nearest":
        assert labels is not None
        self.features = features
        return self

    def score(self, features: np.ndarray) -> np.ndarray:
        distances = np.linalg.norm(features[:, None] - self.features, axis=2)
        return np.asarray(distances.min(axis=1))


def test_a_detector_of_ones_own_is_in_the_panel_and_is_not_saved(
    network: Network, tmp_path: Path
) -> None:
    result = network.evaluate(detectors={"mine": Nearest(), "energy": None})
    assert set(result.scoreboard["detector"]) == {"mine", "energy"}
    near = np.linalg.norm(network.odd[:, None] - network.train, axis=2).min(axis=1)
    np.testing.assert_allclose(result.scored["anomalies"].scores["mine"], near, rtol=1e-5)
    with pytest.raises(belong.InputError, match="mine: a panel with a detector of yours"):
        result.panel.save(tmp_path / "panel")


def test_a_detector_of_the_panel_may_have_other_parameters(
    network: Network, tmp_path: Path
) -> None:
    both = {"feature_knn": None, "nearest": FeatureKnn.with_parameters(k=1)}
    panel = belong.fit_panel(network.train, detectors=both)
    panel.save(tmp_path / "panel")
    for one in (panel, belong.load_panel(tmp_path / "panel")):
        scores = one.score(network.odd)
        for name, k in (("feature_knn", 50), ("nearest", 1)):
            expected = FeatureKnn.fit(network.train, k=k).score(network.odd)
            np.testing.assert_array_equal(scores[name], expected)


def test_layers_that_the_training_rows_lack_are_ignored(network: Network) -> None:
    rows = {"features": network.train, "logits": network.logits(network.train)}
    panel = belong.fit_panel(rows, labels=network.labels, detectors=["gram"])
    expected = panel.score(rows)["gram"]
    more = {**rows, "hidden": network.train[:, :2], "maps": network.train}
    np.testing.assert_array_equal(panel.score(more)["gram"], expected)
    fitted = panel.detectors["gram"]
    assert isinstance(fitted, Fitted)
    scores = fitted.score(**{name: array[:9] for name, array in more.items()})
    np.testing.assert_allclose(scores, expected[:9], rtol=1e-5)


@pytest.mark.parametrize("broken", ["panel.safetensors", "manifest.json", "gone"])
def test_a_damaged_panel_is_not_loaded(network: Network, tmp_path: Path, broken: str) -> None:
    belong.fit_panel(network.train, detectors=["feature_knn"]).save(tmp_path / "panel")
    if broken == "gone":
        (tmp_path / "panel" / "panel.safetensors").unlink()
    else:
        file = tmp_path / "panel" / broken
        file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(belong.InputError) as error:
        belong.load_panel(tmp_path / "panel")
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, belong.IntegrityError) == (broken == "panel.safetensors")


def test_what_needs_labels_or_logits_is_left_out_and_named(network: Network) -> None:
    result = belong.evaluate(network.train, network.test, network.odd)
    assert set(result.scoreboard["detector"]) == {"feature_knn"}
    assert set(result.left_out) == set(PANEL) - {"feature_knn"}
    assert "left out: mahalanobis, mahalanobis_min" in result.text
    one_class = network.evaluate(labels=np.zeros(N, int), detectors=None)
    assert one_class.left_out["relative_mahalanobis"] == "needs labels of at least two classes"
    assert "mahalanobis" in set(one_class.scoreboard["detector"])


def test_a_fitted_panel_takes_no_other_labels_or_detectors(network: Network) -> None:
    panel = belong.fit_panel(network.train, detectors=["feature_knn"])
    with pytest.raises(belong.InputError, match="labels: expected None, as the fitted panel"):
        belong.evaluate(panel, network.test, network.odd, labels=network.labels)


def test_torchs_settings_are_the_callers_afterwards(network: Network) -> None:
    torch.set_num_threads(2)
    try:
        before = torch.get_rng_state()
        network.evaluate()
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), before)
    finally:
        torch.set_num_threads(1)


def test_a_single_anomaly_has_an_auroc_without_an_interval(network: Network) -> None:
    result = network.evaluate(odd=network.odd[:1])
    assert result.scoreboard["auroc"].between(0, 1).all()
    assert result.scoreboard["auroc_low"].isna().all()
    assert "anomalies: 1 row; its AUROC has no interval" in result.notes


def test_test_rows_that_occur_in_train_are_named_and_refused_where_most_do(
    network: Network,
) -> None:
    leaked = np.concatenate([network.test[:250], network.train[7:20]])
    assert "normal_test: 13 of 263 rows occur in normal_train, the first is row 250" in (
        network.evaluate(test=leaked).notes
    )
    with pytest.raises(belong.InputError, match="normal_test: 300 of 300 rows occur"):
        network.evaluate(test=network.train)
    # Numbers with few digits: their hashes must not collide.
    rng = np.random.default_rng(0)
    grid = np.unique(rng.integers(0, 50, (2 * N, D)), axis=0).astype(np.float32)
    rng.shuffle(grid)
    result = belong.evaluate(grid[:N], grid[N:], network.odd)
    assert not [note for note in result.notes if "occur" in note]


def with_value(values: np.ndarray, row: int, value: float) -> np.ndarray:
    values = values.copy()
    values[row, 1] = value
    return values


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"test": np.zeros((N, D - 1))}, "normal_test: features: expected 6 columns, "),
    ({"odd": {"far": np.zeros((9, 2))}}, "far: features: expected 6 columns, .* got 2"),
    ({"odd": np.full((9, D), np.nan)}, "anomalies: features: expected finite .* in row 0"),
    ({"odd": np.full((9, D), 1e300)}, "anomalies: features: expected finite .* in row 0"),
    ({"odd": np.ma.masked_less(np.eye(D), 1)}, "anomalies: expected no masked values"),
    ({"odd": np.empty((0, D))}, r"features: expected shape \(n, d\) .*, got \(0, 6\)"),
    ({"odd": {}}, "anomalies: expected at least one set, got none"),
    ({"odd": "nowhere.npy"}, "nowhere.npy: no such file"),
    ({"odd": {"features": [[1], [1, 2]]}}, "anomalies: features: expected an array"),
    ({"odd": {"features": np.zeros((2, D)), "x": 1}}, "anomalies: expected arrays named"),
    ({"odd": {"normal_test": np.zeros((9, D))}}, "anomalies: 'normal_test' is the name of the"),
    ({"labels": ["cat"] * N}, "normal_train: labels: expected whole numbers .* got text"),
    ({"labels": np.zeros(5, int)}, r"normal_train: labels: expected shape \(300,\)"),
    ({"labels": np.full(N, 3)}, "normal_train: labels: expected 0 to 2, .* got 3"),
    ({"bias": np.zeros(2)}, "bias: expected 3 values"),
    ({"bias": None}, "bias: expected weight and bias together"),
    ({"weight": np.zeros((C, 2))}, "normal_train: features: expected 2 columns, as weight has"),
    ({"test": np.zeros((70, D))}, r"at least 39 calibration rows .* got 35 \(half of 70\)"),
    ({"alpha": 0}, "alpha: expected a number between 0 and 1"),
    ({"detectors": "energy"}, "detectors: expected a list of names"),
    ({"detectors": ["enrgy"]}, "names of the panel, such as energy or .*, got 'enrgy'"),
    ({"detectors": {"mine": object()}}, "detectors: expected an object with fit and score, got 'm"),
    ({"detectors": {"mine": np.random.default_rng}}, "'mine', a .* without fit"),
    ({"detectors": []}, "detectors: expected at least one, got none"),
    ({"detectors": ["hidden_knn"]}, "no detector can be fitted: hidden_knn needs hidden"),
    ({"output": "."}, r"\.: exists already"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_a_wrong_input_is_refused_in_one_line(
    network: Network, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(belong.InputError, match=message) as error:
        network.evaluate(**options)
    assert "\n" not in str(error.value)


def test_a_row_that_is_not_finite_is_named_by_its_number(network: Network) -> None:
    train = with_value(network.train, 123, np.inf)
    with pytest.raises(belong.InputError, match=r"normal_train: features: .* in row 123"):
        network.evaluate(train=train)


def test_logits_of_another_layer_are_refused(network: Network) -> None:
    logits = network.logits(network.train)
    assert network.evaluate(train={"features": network.train, "logits": logits})
    with pytest.raises(belong.InputError, match=r"normal_train: logits: expected .* differ"):
        network.evaluate(train={"features": network.train, "logits": logits[::-1]})


def test_scores_of_ones_own_detector_that_are_none_are_refused(network: Network) -> None:
    class Broken(Nearest):
        def score(self, features: np.ndarray) -> np.ndarray:
            return np.asarray(features.sum())  # one number for all rows

    with pytest.raises(belong.InputError, match="mine: score: expected a finite number for each"):
        network.evaluate(detectors={"mine": Broken()})


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("x.npy", b"nonsense", "x.npy: cannot be read as .npy"),
        ("x.npz", b"nonsense", "x.npz: cannot be read as .npz"),
        ("x.safetensors", b"nonsense", "x.safetensors: cannot be read as .safetensors"),
        ("x.csv", b"1,2", r"x.csv: expected .npy, .npz, .safetensors, or a folder of .npy files"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_the_command_in_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], file: str, content: bytes, message: str
) -> None:
    (folder / file).write_bytes(content)
    words = [str(folder / name) for name in ("train.npy", "test", file)]
    assert main(["evaluate", *words, "-o", str(folder / "out")]) == 2
    error = capsys.readouterr().err
    assert message in error.replace("\\", "")
    assert error.count("\n") == 1


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_a_damaged_file_is_answered_in_one_line(folder: Path, suffix: str) -> None:
    """The file is cut, or one byte is changed, at many places."""
    array, path = np.arange(60, dtype=np.float32).reshape(20, 3), folder / f"x{suffix}"
    if suffix == ".npy":
        np.save(path, array)
    elif suffix == ".npz":
        np.savez_compressed(path, features=array)
    else:
        save_file({"features": array}, path)
    sound = path.read_bytes()
    bad_contents = {sound[:size] for size in range(0, len(sound), max(1, len(sound) // 40))}
    for place in range(0, len(sound), max(1, len(sound) // 40)):
        bad_contents.add(sound[:place] + bytes([sound[place] ^ 0xFF]) + sound[place + 1 :])
    answers = []
    for content in bad_contents:
        path.write_bytes(content)
        try:
            rows_of("x", path)
        except belong.InputError as error:
            answers.append(str(error))
    assert len(answers) >= len(bad_contents) / 2  # a changed number is still a valid number
    assert not any("\n" in answer for answer in answers)


@pytest.mark.robustness
@pytest.mark.parametrize("file", ["x.npy", "by columns.npy", "x.safetensors"])
def test_a_file_that_is_cut_short_while_it_is_read_is_answered_in_one_line(
    folder: Path, file: str
) -> None:
    """In a separate process: the system would kill it if the file were memory-mapped."""
    array = np.arange(400_000, dtype=np.float32).reshape(100_000, 4)
    if file.endswith(".npy"):
        np.save(folder / file, array if file == "x.npy" else np.asfortranarray(array))
    else:
        save_file({"features": array}, folder / file)
    lines = f"""
        import os
        from belong.commands.evaluate.inputs import rows_of
        from belong.runtime.errors import InputError
        rows = rows_of("test", {str(folder / file)!r})
        rows.part(0)
        os.truncate({str(folder / file)!r}, 5000)
        try:
            print(rows.part(90_000))
        except InputError as error:
            print(error)
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(lines)], capture_output=True, text=True, check=True
    )
    assert process.stdout == f"{folder / file}: was cut short while it was read\n"


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f2", ">f4", "<f8", "<i8", "u1", "?"])
def test_rows_of_a_npy_file_are_those_of_numpy(
    folder: Path, order: Literal["C", "F"], dtype: str
) -> None:
    array = np.random.default_rng(0).integers(0, 2, (50, 3)).astype(dtype, order=order)
    np.save(folder / "x.npy", array)
    rows_of_file = open_npy(folder / "x.npy")
    for rows in (slice(0, 7), slice(7, 50), slice(49, 90), slice(None), slice(5, 5)):
        np.testing.assert_array_equal(rows_of_file[rows], array[rows])
    for whole in (array[:, 0], array.reshape(5, 10, 3), array[0, 0]):
        np.save(folder / "x.npy", np.asarray(whole, order=order))
        np.testing.assert_array_equal(open_npy(folder / "x.npy")[:], whole)


def test_arrays_of_a_safetensors_file_are_those_of_torch(folder: Path) -> None:
    values = torch.arange(24).reshape(6, 4)
    types = [torch.bfloat16, torch.float16, torch.float64, torch.int32, torch.bool, torch.uint8]
    arrays = {str(dtype): values.to(dtype) for dtype in types}
    save_tensors(arrays | {"none": torch.empty(0, 3)}, folder / "x.safetensors", {"by": "us"})
    lazy_arrays = open_safetensors(folder / "x.safetensors")
    assert lazy_arrays.keys() == arrays.keys() | {"none"}
    for name, array in arrays.items():
        assert torch.equal(torch.as_tensor(lazy_arrays[name][2:5]), array[2:5])
    assert lazy_arrays["none"][:].shape == (0, 3)


@pytest.mark.parametrize("suffix", ["npy", "safetensors"])
def test_a_large_file_is_read_in_parts(folder: Path, suffix: str) -> None:
    file, n, part = folder / f"x.{suffix}", 400_000, 4 * 8192 * 40
    array = np.zeros((n, 40), np.float32)
    np.save(file, array) if suffix == "npy" else save_file({"features": array}, file)
    del array
    tracemalloc.start()
    rows = rows_of("test", file)
    assert sum(len(layers["features"]) for _, layers in rows.parts()) == n
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * part


@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors"])
def test_a_pipe_is_no_file_of_vectors(folder: Path, suffix: str) -> None:
    os.mkfifo(folder / f"x.{suffix}")
    with pytest.raises(belong.InputError, match=f"cannot be read as .{suffix}: is no file"):
        rows_of("test", folder / f"x.{suffix}")


WRONG_HEADERS = [
    "", "[]", '"x"', "{" * 5000, '{"x": 1}', '{"x": {}}', '{"x": {"dtype": [], "shape": []}}',
    *(
        f'{{"x": {{"dtype": "{dtype}", "shape": {shape}, "data_offsets": {at}}}}}'
        for dtype, shape, at in (
            ("F32", [2, 2], [0, 8]), ("F32", [2, 2], [16, 32]), ("F32", [-2, -2], [0, 16]),
            ("F32", [2.0, 2], [0, 16]), ("F32", [0, 2**63], [0, 0]), ("F32", [1] * 99, [0, 4]),
            ("F32", [2, 2], [-4, 12]), ("F32", [2, 2], ["0", "16"]), ("F32", [2, 2], [0]),
            ("C64", [2], [0, 16]), ("F32", 4, [0, 16]), ("F32", "2", [0, 16]),
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize("header", WRONG_HEADERS)
def test_a_wrong_header_is_answered_in_one_line(folder: Path, header: str) -> None:
    content = len(header).to_bytes(8, "little") + header.encode() + bytes(16)
    (folder / "x.safetensors").write_bytes(content)
    with pytest.raises(belong.InputError, match=r"cannot be read as \.safetensors") as error:
        rows_of("x", folder / "x.safetensors")
    assert "\n" not in str(error.value)


def test_scores_that_find_no_place_on_the_disk_are_refused_before_they_are_written(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_file: int, _start: int, count: int) -> None:
        raise OSError(errno.ENOSPC, f"no space for {count}")

    monkeypatch.setattr("belong.commands.evaluate.evaluate.IN_MEMORY", 0)
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=f"no space for {4 * len(FEW) * N}"):
        network.evaluate()


def test_objects_are_never_unpickled(folder: Path) -> None:
    np.save(folder / "x.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(belong.InputError, match=r"x\.npy: cannot be read as \.npy: .*object"):
        belong.fit_panel(folder / "x.npy")
