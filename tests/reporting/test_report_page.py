"""The report's page: numbers worked out by hand, and a run without anomalies."""

import base64
import html
import io
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from ruamel.yaml import YAML

from belong.prediction.manifest import Manifest
from belong.reporting.histogram_bins import score_edges, shares
from belong.reporting.palette import is_ink
from belong.reporting.report import thumbnails
from belong.reporting.report.auroc_matrix import matrix, shade
from belong.reporting.report.curves import calibration, points, precision_recall
from belong.reporting.report.examples import Part, least_anomalous, showcase
from belong.reporting.report.run_summary import facts, flat, title
from belong.reporting.report.scoreboard import COLUMNS, TESTS_ITSELF, reasons, scoreboard
from belong.reporting.report.thumbnails import thumbnails as thumbnails_of
from belong.reporting.templates import short
from belong.runtime import environment as machine
from belong.runtime.storage import (
    load_about,
    load_arrays,
    load_csv,
    save_arrays,
    save_csv,
    save_json,
)
from tests.imports import ROOT
from tests.pins import declared
from tests.small_report import make_inputs, make_page, save_bundle

DASH = "\N{EN DASH}"
NUMBERS: dict[str, Any] = {column.key: 0.5 for column in COLUMNS} | {"auroc_high": 0.6}
AT = {column.key: at for at, column in enumerate(COLUMNS)}


# --- what was run -------------------------------------------------------------------------------

PROMISE = {
    "alpha": 0.025,
    "n_calibration": 5999,
    "false_reject_calibrated": 0.0225,
    "false_reject_training": 0.0341,
    "false_reject_expected_low": 0.0202,
    "false_reject_expected_high": 0.0302,
}


@pytest.mark.parametrize(
    ("threshold", "rate"),
    [("calibrated", "2.15% (1.9% to 3.17% expected)"), ("training", "2.15%")],
)
def test_the_rate_at_the_head_is_that_of_the_detector_that_decides(
    threshold: str, rate: str
) -> None:
    parameters = {
        "calibration": {"alpha": 0.025, "threshold": threshold},
        "normal": {"path": "data/a", "classes": "all"},
        "anomaly": {"path": "data/b", "classes": [1, 2]},
        "lambda": 1.0,
        "seed": 0,
        "bundle": {"detector": "combined"},
    }
    numbers = {
        "calibration": PROMISE,
        "data": {"normal_test": 10000},
        "classification": {
            "accuracy": 0.9938,
            "n": 10000,
            "ece": 0.0027,
            "ece_raw": 0.0057,
            "temperature": 0.8878,
        },
        "detectors": {"mahalanobis": {"false_reject": 0.5}, "combined": {"false_reject": 0.0215}},
    }
    facts_by_name = facts(parameters, numbers)
    assert facts_by_name["false rejects of combined, the deciding detector"] == rate
    assert facts_by_name["promised false-rejection rate, alpha"] == "2.5%"
    assert "mahalanobis" not in str(facts_by_name)
    assert facts_by_name["threshold in force"].startswith("the paper's") == (
        threshold == "training"
    )
    assert "on 5,999 held-out images" in facts_by_name["threshold in force"]
    error = facts_by_name["calibration error of the probability, ECE"]
    assert error == "0.0027 at a temperature of 0.8878; 0.0057 without temperature scaling"
    rejects = facts(parameters, numbers, tests_itself=True)[
        "false rejects of combined, the deciding detector"
    ]
    assert rejects.startswith("not measured")
    assert "2.15%" not in rejects


@pytest.mark.parametrize(
    ("normal", "anomaly", "expected"),
    [
        (("raw/mnist", "1-9"), ("raw/mnist", 0), "mnist 1-9 against mnist 0"),
        (("raw/mnist", "all"), ("raw/fashion", "all"), "mnist against fashion"),
        (("raw/mnist", "all"), ("raw/mnist", "none"), "mnist"),
    ],
)
def test_two_choices_of_one_data_set_are_told_apart_by_their_classes(
    normal: tuple[str, Any], anomaly: tuple[str, Any], expected: str
) -> None:
    choices = ({"path": path, "classes": classes} for path, classes in (normal, anomaly))
    assert title(*choices) == expected


# --- the scoreboard -----------------------------------------------------------------------------


def test_detectors_come_from_the_highest_auroc_to_the_lowest_and_the_floor_last() -> None:
    detectors = {
        "none": NUMBERS | {"auroc": None},
        "low": NUMBERS | {"auroc": 0.2},
        "high": NUMBERS | {"auroc": 0.9},
    }
    rows = scoreboard(detectors, {"accept_all": {"f1_normal": 0.6667}})
    assert [(row.name, row.floor) for row in rows] == [
        ("high", False), ("low", False), ("none", False), ("accept_all", True),
    ]  # fmt: skip


def test_the_best_number_of_a_column_is_its_lowest_where_low_is_good() -> None:
    detectors = {
        "a": NUMBERS | {"auroc": 0.9, "fpr95": 0.3},
        "b": NUMBERS | {"auroc": 0.8, "fpr95": 0.1},
    }
    a, b = scoreboard(detectors, {})
    best = [(row.cells[AT["auroc"]].best, row.cells[AT["fpr95"]].best) for row in (a, b)]
    assert best == [(True, False), (False, True)]


def test_an_interval_shows_both_ends_and_sorts_by_the_lower_one() -> None:
    (row,) = scoreboard({"a": NUMBERS | {"auroc_low": 0.25, "auroc_high": 0.75}}, {})
    cell = row.cells[AT["auroc_low"]]
    assert (cell.text, cell.number) == (f"0.2500{DASH}0.7500", 0.25)


def test_a_number_that_is_missing_is_a_dash_with_its_reason() -> None:
    missing = NUMBERS | {"auroc": None, "auroc_high": None, "reason": "no anomalies"}
    rows = scoreboard({"a": missing, "b": NUMBERS | {"auroc": None, "reason": "no time"}}, {})
    cells = [rows[0].cells[AT[key]] for key in ("auroc", "auroc_low", "f1_normal")]
    assert [(cell.text, cell.number, cell.reason) for cell in cells] == [
        (DASH, None, "no anomalies"), (DASH, None, "no anomalies"), ("0.5000", 0.5, ""),
    ]  # fmt: skip
    assert reasons(rows) == ["a: no anomalies", "b: no time"]


def test_a_reason_of_several_detectors_is_given_once_and_without_a_name() -> None:
    missing = NUMBERS | {"auroc": None, "reason": "no anomalies"}
    assert reasons(scoreboard({"a": missing, "b": missing}, {"accept_all": {}})) == ["no anomalies"]


def test_where_the_test_images_set_the_threshold_no_rate_of_false_rejects_is_shown() -> None:
    rows = scoreboard({"a": NUMBERS}, {"accept_all": NUMBERS}, tests_itself=True)
    cells = [rows[0].cells[AT[key]] for key in ("false_reject", "open_set_accuracy", "auroc")]
    assert [(cell.text, cell.number) for cell in cells] == [
        (DASH, None), (DASH, None), ("0.5000", 0.5),
    ]  # fmt: skip
    assert rows[1].cells[AT["false_reject"]].number == 0.5  # of a rule, which has no threshold
    assert reasons(rows) == ["a: " + TESTS_ITSELF]


# --- the table of anomaly sets ------------------------------------------------------------------


@pytest.mark.parametrize(("auroc", "dark"), [(0.3, 0), (0.5, 0), (0.9995, 1), (1.0, 1)])
def test_a_shade_runs_from_chance_to_one_wrong_pair_in_two_thousand(
    auroc: float, dark: float
) -> None:
    assert shade(auroc) == pytest.approx(dark)


def test_ten_times_fewer_errors_are_the_same_step_of_shade_everywhere() -> None:
    """From 0.5 to 0.0005 are three powers of ten."""
    assert shade(0.95) == pytest.approx(1 / 3)
    assert shade(0.995) == pytest.approx(2 / 3)


def test_the_matrix_runs_from_the_highest_mean_and_leaves_gaps_where_there_is_no_number() -> None:
    table = pd.DataFrame(
        {
            "detector": ["a", "b", "a", "b"],
            "anomalies": ["x", "x", "y", "y"],
            "n_anomalies": [5, 5, 7, 7],
            "auroc": [0.6, 0.9, 0.4, None],
            "fpr95": [0.1, 0.2, 0.3, None],
            "false_accept": [0.1, 0.2, 0.3, None],
        }
    )
    auroc_matrix = matrix(table)
    assert auroc_matrix.sets == [("x", 5), ("y", 7)]
    assert [name for name, _ in auroc_matrix.rows] == ["b", "a"]
    texts = [
        [cell and (cell.text, cell.more, cell.worse) for cell in row]
        for _, row in auroc_matrix.rows
    ]
    assert texts == [
        [("0.9000", "FPR95 0.2000, false accepts 0.2000", False), None],
        [
            ("0.6000", "FPR95 0.1000, false accepts 0.1000", False),
            ("0.4000", "FPR95 0.3000, false accepts 0.3000", True),
        ],
    ]


# --- pictures -----------------------------------------------------------------------------------


def image_of(uri: str) -> Image.Image:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


@pytest.mark.parametrize(
    ("ink", "expected"), [(["a"], [[255, 200], [100, 0]]), ([], [[0, 55], [155, 255]])]
)
def test_ink_is_shown_dark_on_white_a_gray_photo_as_it_is_and_neither_is_enlarged(
    ink: list[str], expected: list[list[int]]
) -> None:
    image = np.array([[[0, 55], [155, 255]]], np.uint8)
    thumbnail = image_of(thumbnails_of({"a": image}, ink)["a"])
    np.testing.assert_array_equal(np.asarray(thumbnail), expected)


def test_images_of_idx_files_are_ink_and_those_of_image_files_are_not(run_folder: Path) -> None:
    assert is_ink(load_csv(run_folder / "manifest")["source"])
    assert not is_ink(pd.Series(["cat/1.png", "cat/idx3/2.jpg"]))


def test_a_large_image_is_reduced_to_64_pixels_and_keeps_its_shape_and_colours() -> None:
    image = np.zeros((3, 100, 200), np.uint8)
    image[0] = 250
    thumbnail = image_of(thumbnails_of({"a": image}, [])["a"]).convert("RGB")
    assert thumbnail.size == (64, 32)
    assert thumbnail.getpixel((30, 15)) == (250, 0, 0)


def test_pictures_that_are_too_large_together_are_made_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 3, 64, 64), dtype=np.uint8)
    images = {str(at): image for at, image in enumerate(noise)}
    monkeypatch.setattr(thumbnails, "MOST_CHARACTERS", 80_000)
    uris = thumbnails_of(images, [])
    assert {image_of(uri).size for uri in uris.values()} == {(32, 32)}
    assert sum(map(len, uris.values())) <= 80_000


# --- which images -------------------------------------------------------------------------------


def part(name: str, scores: list[float]) -> Part:
    classes = np.array([f"class {at}" for at in range(len(scores))])
    return Part(name, classes, classes[::-1], {"a": np.array(scores)})


CALIBRATION = np.array([1.0, 2.0, 3.0])


def test_rejected_are_the_normal_images_beyond_the_threshold_and_accepted_anomalies_up_to_it() -> (
    None
):
    normal, anomaly = part("normal/test", [1, 4, 3, 9]), part("anomaly/test", [5, 3, 2, 8])
    cards = showcase("a", normal, anomaly, CALIBRATION, threshold=3, count=3)
    assert [card.image for card in cards.most_anomalous] == [
        f"normal/test/{at}" for at in (3, 1, 2)
    ]
    assert [card.score for card in cards.rejected] == [9, 4]
    assert [card.image for card in cards.accepted] == ["anomaly/test/2", "anomaly/test/1"]


def test_a_card_names_the_class_the_predicted_class_and_the_p_value() -> None:
    (card,) = least_anomalous(part("normal/test", [2.5, 2, 7]), "a", CALIBRATION, count=1)
    assert (card.class_name, card.predicted, card.score) == ("class 1", "class 1", 2)
    assert card.p_value == pytest.approx(3 / 4)  # (1 + two of three as high) / (3 + 1)


def test_without_anomalies_none_is_accepted() -> None:
    cards = showcase("a", part("normal/test", [1.0]), None, CALIBRATION, threshold=3, count=2)
    assert (len(cards.most_anomalous), cards.rejected, cards.accepted) == (1, [], [])


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "0"),
        (0.00091, "9.1e-04"),
        (-0.5, "-0.5"),
        (35.89, "35.9"),
        (-3478.2, "-3,478"),
        (999_999.4, "999,999"),
        (999_999.6, "1.0e+06"),
        (2.97e14, "3.0e+14"),
    ],
)
def test_a_score_stands_under_a_picture_in_at_most_seven_characters(
    score: float, text: str
) -> None:
    assert short(score) == text


# --- curves -------------------------------------------------------------------------------------


def test_positive_scores_are_shown_on_a_logarithmic_axis_and_others_on_an_even_one() -> None:
    edges, logarithmic = score_edges([np.array([1.0, 1.0]), np.array([100.0, 100.0])], bins=2)
    assert logarithmic
    np.testing.assert_allclose(edges, [1, 10, 100])
    edges, logarithmic = score_edges([np.array([-1.0, -1.0, 1.0, 1.0])], bins=2)
    assert not logarithmic
    np.testing.assert_allclose(edges, [-1, 0, 1])


@pytest.mark.parametrize("score", [-2.0, 0.0, 3.0])
def test_scores_that_are_all_the_same_stand_in_one_bin(score: float) -> None:
    scores = np.full(5, score)
    edges, _ = score_edges([scores], bins=4)
    assert (np.diff(edges) > 0).all()
    assert shares(scores, edges).tolist() == [1, 0, 0, 0]


def test_scores_beyond_the_ends_count_in_the_outermost_bins() -> None:
    assert shares(np.array([-9, 0.5, 1.5, 9]), np.array([0.0, 1.0, 2.0])).tolist() == [0.5, 0.5]


def test_a_point_that_misses_a_coordinate_is_left_out() -> None:
    table = pd.DataFrame({"x": [0, None, 1], "y": [0.1234567, 1, 1]})
    assert points(table, "x", "y") == [[0, 1], [0.12346, 1]]


def test_precision_and_recall_are_told_apart_by_kind_and_run_with_the_recall() -> None:
    table = pd.DataFrame(
        {"kind": ["normal", "anomaly", "normal"], "recall": [1, 1, 0], "precision": [0.5, 0.4, 1]}
    )
    assert precision_recall(table) == {"anomaly": [[1], [0.4]], "normal": [[0, 1], [1, 0.5]]}


def test_a_calibration_curve_is_that_of_its_detector_in_the_order_of_alpha() -> None:
    table = pd.DataFrame(
        {
            "detector": ["a", "b", "a", "a"],
            "alpha": [0.2, 0.1, 0.1, 0.3],
            "false_reject": [0.19, 0.5, 0.08, None],
            "expected_low": [0.15, 0.0, 0.05, 0.25],
            "expected_high": [0.25, 0.0, 0.15, 0.35],
        }
    )
    assert calibration(table, "a") == {
        "alpha": [0.1, 0.2],
        "false_reject": [0.08, 0.19],
        "expected_low": [0.05, 0.15],
        "expected_high": [0.15, 0.25],
    }


def test_an_absolute_path_is_shown_from_the_current_folder_or_as_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = {"a": str(tmp_path / "photos" / "ours"), "b": "/else/where", "c": str(tmp_path)}
    assert flat(paths | {"d": "data/raw"}) == {
        "a": "photos/ours", "b": "where", "c": tmp_path.name, "d": "data/raw",
    }  # fmt: skip


def test_nested_parameters_are_shown_by_their_dotted_keys() -> None:
    values = {"seed": 0, "split": {"deep": {"share": 0.1}}, "classes": [1, "two"]}
    assert flat(values) == {"seed": "0", "split.deep.share": "0.1", "classes": "1, two"}


def test_the_packages_whose_versions_are_shown_are_dependencies_of_the_project() -> None:
    dependencies = {one.name for one in declared(ROOT / "pyproject.toml")}
    assert set(machine.PACKAGES) <= dependencies


# --- the stage ----------------------------------------------------------------------------------


class Parts(HTMLParser):
    """Collects the addresses that the page would load, and its JSON."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.json: dict[str, object] = {}
        self.reads: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        values = dict(attributes)
        self.loads += [values[key] or "" for key in ("src", "href") if key in values]
        self.reads = values["id"] if values.get("type") == "application/json" else None

    def handle_data(self, text: str) -> None:
        if self.reads:
            self.json[self.reads] = json.loads(text)
            self.reads = None


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("report")
    make_inputs(to)
    return to


def copy_of(run_folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(run_folder, to / "copy"))


def test_the_page_loads_no_other_file(run_folder: Path) -> None:
    parts = Parts(make_page(run_folder).read_text(encoding="utf-8"))
    assert all(link.startswith(("#", "data:")) for link in parts.loads)


def test_each_image_of_the_cards_stands_in_the_page_once(run_folder: Path) -> None:
    text = make_page(run_folder).read_text(encoding="utf-8")
    pictures = Parts(text).json["pictures-data"]
    assert isinstance(pictures, dict)
    assert set(re.findall(r'data-image="([^"]+)"', text)) == set(pictures)


def test_a_card_shows_the_image_at_its_place_in_the_part(run_folder: Path) -> None:
    pictures = Parts(make_page(run_folder).read_text(encoding="utf-8")).json["pictures-data"]
    assert isinstance(pictures, dict)
    images = load_arrays(run_folder / "images", "normal/test/images", "anomaly/test/images")
    for name, picture in pictures.items():
        part_name, _, place = name.rpartition("/")
        image = images[f"{part_name}/images"][int(place), 0]
        np.testing.assert_array_equal(np.asarray(image_of(picture)), 255 - image)


def test_the_page_shows_the_assessment_of_the_model_and_what_helps(run_folder: Path) -> None:
    text = html.unescape(make_page(run_folder).read_text(encoding="utf-8"))
    assessment = Manifest.read(run_folder / "bundle" / "manifest.json").assessment
    assert assessment.classifier is not None
    assert f"<span>{assessment.classifier.reasons[0]}.</span>" in text
    assert f"<li>{assessment.sentences['anomalies']}</li>" in text
    helps = text.partition("<b>What helps:</b> ")[2].partition("</p>")[0]
    assert re.sub("</?code>", "`", helps) == f"{'; '.join(assessment.helps)}."


def test_the_page_says_which_detectors_combined_leaves_out_and_why(run_folder: Path) -> None:
    page = make_page(run_folder).read_text(encoding="utf-8")
    assert "<code>mahalanobis</code>: selected, 0.750" in page
    assert "<code>reconstruction</code>: not selected, it is &lt;blind&gt;" in page


def test_a_run_without_anomalies_has_no_roc_and_says_why(run_folder: Path, tmp_path: Path) -> None:
    to = copy_of(run_folder, tmp_path)
    arrays = {
        name: array
        for name, array in load_arrays(to / "scores").items()
        if not name.startswith("anomaly/")
    }
    save_arrays(to / "scores", arrays, load_about(to / "scores"))
    numbers = json.loads((to / "metrics").read_text())
    for detector in numbers["detectors"].values():
        ranked = ("auroc", "auroc_low", "auroc_high", "fpr95", "f1_normal", "false_accept")
        detector |= dict.fromkeys(ranked) | {"reason": "no anomalies in the test part"}
    save_json(to / "metrics", numbers)
    sets = load_csv(to / "plots" / "anomaly_sets.csv")
    save_csv(to / "plots" / "anomaly_sets.csv", sets[sets["anomalies"] != "anomaly"])
    shutil.rmtree(to / "plots" / "roc")
    shutil.rmtree(to / "plots" / "pr")
    text = make_page(to).read_text(encoding="utf-8")
    assert f'data-number="" title="no anomalies in the test part">{DASH}</td>' in text
    assert f"“{DASH}” means not available: no anomalies in the test part." in text
    assert 'data-chart="roc"' not in text
    data = Parts(text).json["curves-data"]
    assert isinstance(data, dict)
    assert list(data["charts"]["combined"]["histogram"]["shares"]) == ["normal"]


def test_the_times_are_those_that_were_noted_and_a_dash_stands_for_the_others(
    run_folder: Path, tmp_path: Path
) -> None:
    to = copy_of(run_folder, tmp_path)
    save_json(to / "times" / "train.json", {"seconds": 1234.56, "peak_mib": 812.4})
    save_json(to / "times" / "fetch@mnist.json", {"seconds": 2.0, "peak_mib": 90})
    text = make_page(to).read_text(encoding="utf-8")
    rows = re.findall(
        r'<code>([\w@-]+)</code></th><td class="number">(.+?)</td><td class="number">(.+?)</td>',
        text,
    )
    assert rows[0] == ("fetch@mnist", "2.0", "90")
    assert ("train", "1,234.6", "812") in rows
    assert ("split", DASH, DASH) in rows
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    assert [name for name, _, _ in rows[1:]] == list(pipeline)


@pytest.mark.pipeline
@pytest.mark.parametrize("content", ["", "[]", '{"seconds": 1}', '{"seconds": "x", "peak_mib": 1}'])
def test_a_damaged_note_of_a_time_is_one_line(
    run_folder: Path, tmp_path: Path, content: str
) -> None:
    to = copy_of(run_folder, tmp_path)
    (to / "times").mkdir()
    (to / "times" / "train.json").write_text(content)
    save_bundle(to)
    names = ("manifest", "images", "scores", "metrics", "plots", "bundle", "times", "report.html")
    process = subprocess.run(
        [sys.executable, "-m", "stages.report_page", to / "params.yaml", "dvc.yaml",
         *(to / name for name in names)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    (line,) = process.stderr.splitlines()
    assert process.returncode == 2
    start = (
        f"report_page: {to}/times/train.json: expected JSON with the numbers seconds and peak_mib"
    )
    assert line.startswith(start)


# --- the notes of the times ---------------------------------------------------------------------


def check_params(folder: Path, **variables: str) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "DVC_STAGE"}
    subprocess.run(
        [sys.executable, "-m", "stages.check_params", ROOT / "params.yaml", folder / "valid"],
        cwd=folder, env=environment | variables | {"PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip


def test_a_stage_that_dvc_runs_notes_its_time_and_memory_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    check_params(tmp_path, DVC_STAGE="data/dvc.yaml:fetch@mnist")
    (note,) = (tmp_path / "data" / "times").iterdir()
    times = json.loads(note.read_text())
    assert note.name == "fetch@mnist.json"
    assert 0 < times["seconds"] < 60
    assert 10 < times["peak_mib"] < 2000


@pytest.mark.pipeline
def test_a_stage_called_by_hand_or_outside_of_the_project_notes_nothing(tmp_path: Path) -> None:
    check_params(tmp_path, DVC_STAGE="check_params")
    assert [path.name for path in tmp_path.iterdir()] == ["valid"]
    (tmp_path / "data").mkdir()
    check_params(tmp_path)
    assert list((tmp_path / "data").iterdir()) == []
