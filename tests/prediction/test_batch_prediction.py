"""A model gives the verdicts of the pipeline; files, interruptions and bad input."""

import csv
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from belong.calibration import conformal
from belong.commands.main import main
from belong.commands.watch.inputs import look, scored
from belong.data.decode_pool import Answers, decoded
from belong.data.file_discovery import Incoming, below
from belong.data.image_form import ImageForm
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.catalog import backbone_named
from belong.models.backbones.networks import FrozenBackbone
from belong.models.feature_extraction import embed
from belong.prediction.bundle import Bundle
from belong.prediction.explanations import reason
from belong.prediction.model import load_model
from belong.prediction.nearest_training_images import nearest_training_images
from belong.prediction.prediction_files import by_chance_in_words
from belong.prediction.predictions import COLUMNS, Scores
from belong.prediction.predictor import Predictor
from belong.prediction.scoring_options import ScoringOptions
from belong.prediction.scoring_run import score_files
from belong.reporting.gallery import gallery, sprite_sheets
from belong.runtime.storage import load_about, load_arrays
from belong.runtime.text import in_table, percent
from belong.runtime.unfinished import NAME as UNFINISHED
from tests.imports import ROOT
from tests.small_bundle import a_bundle

CPU = torch.device("cpu")
PARTS = ("normal/test", "anomaly/test")


@pytest.fixture(scope="module")
def model(pipeline: Path) -> Path:
    return pipeline / "model"


@pytest.fixture(scope="module")
def pipeline_images(pipeline: Path) -> np.ndarray:
    """Return the test images (n, 1, 28, 28), in the order of verdicts.csv."""
    names = [f"{part}/images" for part in PARTS]
    return np.concatenate(list(load_arrays(pipeline / "images", *names).values()))


@pytest.fixture(scope="module")
def photos(pipeline_images: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 13 digits and 7 clothes as PNG, and other files of a typical upload."""
    folder = tmp_path_factory.mktemp("photos")
    for row in (*range(13), *range(500, 507)):
        place = folder / ("digits" if row < 500 else "clothes")
        place.mkdir(exist_ok=True)
        Image.fromarray(pipeline_images[row, 0]).save(place / f"{row:03}.png")
    good = (folder / "digits" / "000.png").read_bytes()
    (folder / "digits" / "005a.png").write_bytes(good[:-30])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "notes.txt").write_text("no image")
    (folder / "<b>caf\udce9,\n.png").write_bytes(good)
    return folder


def run(photos: Path, model: Path, out: Path, *more: str) -> int:
    words = ["--model", str(model), "-o", str(out), "--device", "cpu", *more]
    return main(["score", str(photos), *words])


def rows_in(out: Path, name: str = "predictions.csv") -> list[dict[str, str]]:
    with (out / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def results(photos: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Score the folder in batches of four; return the folder of results."""
    out = tmp_path_factory.mktemp("done") / "out"
    assert run(photos, model, out, "--batch-size", "4") == 0
    return out


# --- the verdicts --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1000, 64, 1])
def test_the_verdicts_are_those_of_the_pipeline(
    pipeline: Path, model: Path, pipeline_images: np.ndarray, size: int
) -> None:
    predictor = Predictor(Bundle.load(model), device=CPU)
    rows = range(0, len(pipeline_images), 1 if size > 1 else 16)
    images = pipeline_images[rows.start : rows.stop : rows.step]
    answers = [predictor.score(images[at : at + size]) for at in range(0, len(images), size)]
    verdicts = pd.read_csv(pipeline / "verdicts").iloc[rows.start : rows.stop : rows.step]
    scores = load_arrays(pipeline / "scores", *(f"{part}/combined" for part in PARTS))
    expected = np.concatenate(list(scores.values()))[:: rows.step]
    np.testing.assert_array_equal(joined(answers, "belongs"), verdicts["combined_belongs"])
    np.testing.assert_array_equal(joined(answers, "label"), verdicts["predicted_class"])
    assert_close(joined(answers, "score"), expected)
    about = load_about(pipeline / "scores", "thresholds")["thresholds"]
    limit = about["mahalanobis"]["calibrated"]
    assert_close(joined(answers, "distance"), verdicts["mahalanobis_score"] / limit)
    np.testing.assert_allclose(joined(answers, "p_value"), verdicts["combined_p_value"], rtol=1e-5)


def test_the_probability_is_that_of_the_logits_at_the_models_temperature(
    pipeline: Path, model: Path, pipeline_images: np.ndarray
) -> None:
    bundle = Bundle.load(model)
    assert (
        bundle.manifest.temperature == load_about(pipeline / "scores", "temperature")["temperature"]
    )
    confidence, raw = load_arrays(
        pipeline / "scores", "normal/test/confidence", "normal/test/raw_confidence"
    ).values()
    probability = Predictor(bundle, device=CPU).score(pipeline_images[: len(raw)]).probability
    assert_close(probability, confidence)
    assert np.abs(probability - raw).max() > 1e-3


def test_the_share_alpha_of_the_calibration_images_is_farther_than_1(
    pipeline: Path, model: Path
) -> None:
    images = load_arrays(pipeline / "images", "normal/calibration/images")[
        "normal/calibration/images"
    ]
    bundle = Bundle.load(model)
    distance = Predictor(bundle, device=CPU).score(images).distance
    rank = int(bundle.manifest.alpha * (len(images) + 1))  # 10 of 400: the tenth is the limit
    assert distance.shape == (400,)
    assert np.sort(distance)[-rank] == pytest.approx(1, rel=1e-4)


def assert_close(actual: object, expected: object) -> None:
    """Assert that numbers differ in their last bits at most: a batch adds in its own order."""
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=1e-4, atol=1e-5)


def joined(answers: list[Scores], name: str) -> np.ndarray:
    return np.concatenate([getattr(one, name) for one in answers])


def test_the_detector_that_decided_is_the_member_with_the_largest_surprise(
    pipeline: Path, model: Path, pipeline_images: np.ndarray
) -> None:
    """Beyond the tail a surprise grows by one for each mean excess; see `combination`."""
    answer = Predictor(Bundle.load(model), device=CPU).score(pipeline_images[500:501])
    members = Bundle.load(model).manifest.members
    names = [f"{part}/{name}" for part in ("normal/calibration", PARTS[1]) for name in members]
    scores = load_arrays(pipeline / "scores", *names)
    surprise = {}
    for name in members:
        held_out = np.sort(scores[f"normal/calibration/{name}"][::2].astype(np.float64))
        start = held_out[len(held_out) - 21]  # a tenth of 200 lies beyond it
        score = float(scores[f"{PARTS[1]}/{name}"][0])
        excess = (held_out[held_out > start] - start).mean()
        surprise[name] = (
            -np.log((held_out > start).mean()) + (score - start) / excess
            if score > start
            else -np.log((held_out >= score).mean())
        )
    assert answer.detector[0] == max(surprise, key=lambda name: surprise[name])
    expected = np.logaddexp.reduce(list(surprise.values()))
    assert float(answer.score[0]) == pytest.approx(expected, rel=1e-4)


def test_a_network_on_a_frozen_backbone_is_given_what_the_backbone_makes_of_images() -> None:
    backbone = backbone_named("test_efficientnet", "none")
    network = FrozenBackbone.above(backbone.card, classes=2, embedding=8)
    gaussians = {"means": np.zeros((2, 8), np.float32), "thresholds": np.ones(2, np.float32)}
    gaussians["whitening"] = np.stack([np.eye(8, dtype=np.float32)] * 2)
    arrays: dict[str, dict[str, np.ndarray]] = {
        "network": network.arrays(),
        "backbone": backbone.arrays(),
        "detectors": {f"mahalanobis/{name}": array for name, array in gaussians.items()},
        "calibration": {"energy": np.zeros(3, np.float32)},
        "training": {
            "features": np.zeros((1, 8), np.float32),
            "labels": np.zeros(1, np.int64),
            "thumbnails": np.zeros((1, 1, 40, 40), np.uint8),
        },
    }
    manifest = a_bundle().manifest
    form = manifest.form.model_copy(update={"height": 40, "width": 40})
    facts = {"network": "frozen", "shape": network.shape, "form": form, "backbone": backbone.card}
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 40, 40), np.uint8)
    answer = Predictor(Bundle(manifest.model_copy(update=facts), arrays), device=CPU).score(images)
    vectors = embed(backbone, torch.from_numpy(images), device=CPU)
    with torch.no_grad():
        features, logits = network(vectors)
    assert_close(answer.features, features)
    assert_close(answer.score, -logits.logsumexp(dim=1))
    assert_close(answer.distance, features.norm(dim=1) / manifest.distance_limit)


def test_a_kept_training_image_is_its_own_nearest_one(model: Path) -> None:
    bundle = Bundle.load(model)
    training = bundle.arrays["training"]
    predictor = Predictor(bundle, device=CPU)
    answer = predictor.score(
        training["thumbnails"][:5]
    )  # digits are smaller than thumbnails may be
    rows, distances = nearest_training_images(answer.features, training["features"], most=3)
    np.testing.assert_array_equal(rows[:, 0], np.arange(5))
    np.testing.assert_allclose(distances[:, 0], 0, atol=1e-4)
    assert (np.diff(distances) >= 0).all()


def test_images_of_another_form_are_refused(model: Path) -> None:
    with pytest.raises(
        ValueError, match=r"expects uint8 \(n, 1, 28, 28\), got uint8 \(n, 3, 28, 28"
    ):
        Predictor(Bundle.load(model), device=CPU).score(np.zeros((2, 3, 28, 28), np.uint8))


def test_the_reason_names_the_class_or_what_is_odd() -> None:
    like = reason(
        belongs=True, p_value=0.4375, detector="energy", name="7", nearest="7", distance=0.5
    )
    assert like == "like 7; 43.8% of the images that belong are at least as unusual"
    reason_text = reason(
        belongs=False, p_value=0.0004, detector="code_knn", name="7", nearest="3", distance=2.14
    )
    assert reason_text == (
        "no training image looks similar; 0.04% of the images that belong are at least as "
        "unusual; distance to the nearest class, 3: 2.1 times the calibrated limit"
    )
    first = reason(
        belongs=True, p_value=0.5, detector="energy", name="7", nearest="7", distance=1, frames=4
    )
    assert first.endswith("; the first of 4 frames")


# --- files ---------------------------------------------------------------------------------------


def test_there_is_a_row_for_each_image_in_the_order_of_sorted_paths(results: Path) -> None:
    rows = rows_in(results)
    assert tuple(rows[0]) == COLUMNS
    assert [row["path"] for row in rows] == [
        "<b>caf\\xe9,\n.png",
        *(f"clothes/{row:03}.png" for row in range(500, 507)),
        *(f"digits/{row:03}.png" for row in range(13)),
    ]


def test_the_rows_of_a_file_are_the_verdicts_of_its_pixels(results: Path, pipeline: Path) -> None:
    verdicts = pd.read_csv(pipeline / "verdicts")
    for row in rows_in(results)[1:]:
        expected = verdicts.iloc[int(Path(row["path"]).stem)]
        assert row["belongs"] == str(expected["combined_belongs"])
        assert row["class"] == str(expected["predicted_class"])
        assert float(row["p_value"]) == pytest.approx(expected["combined_p_value"], rel=1e-5)
        assert float(row["score"]) == pytest.approx(expected["combined_score"], rel=1e-4)


def test_what_cannot_be_read_is_listed_with_the_reason(results: Path) -> None:
    rows = rows_in(results, "unreadable.csv")
    assert [row["path"] for row in rows] == ["digits/005a.png", "empty.jpg"]
    assert rows[0]["reason"].startswith("cut off: ")
    assert rows[1]["reason"] == "empty: 0 bytes"


def test_the_summary_counts_the_rows_and_says_what_was_promised(results: Path, model: Path) -> None:
    summary, rows = json.loads((results / "summary.json").read_text()), rows_in(results)
    rejected = sum(row["belongs"] == "False" for row in rows)
    low, high = conformal.promised_range(200, 21, alpha=0.025)
    counts = [summary[name] for name in ("images", "rejected", "unreadable", "ignored")]
    assert counts == [21, rejected, 2, 1]
    assert summary["belongs"] == 21 - rejected
    assert summary["rejected_share"] == round(rejected / 21, 6)
    assert summary["promised"] == {"alpha": 0.025, "low": round(low, 6), "high": round(high, 6)}
    assert sum(sum(one.values()) for one in summary["classes"].values()) == 21
    assert summary["model"]["manifest_sha256"] == Bundle.load(model).manifest.digest


def test_nothing_but_the_results_is_left(results: Path) -> None:
    assert sorted(path.name for path in results.iterdir()) == [
        "gallery.html", "ignored.csv", "predictions.csv", "summary.json", "unreadable.csv",
    ]  # fmt: skip


def test_one_file_is_scored_by_itself(
    photos: Path, model: Path, results: Path, tmp_path: Path
) -> None:
    file = photos / "digits" / "003.png"
    assert run(file, model, tmp_path / "out") == 0
    (row,) = rows_in(tmp_path / "out")
    (before,) = [one for one in rows_in(results) if one["path"] == "digits/003.png"]
    assert row["path"] == str(file)
    assert (row["class"], row["belongs"]) == (before["class"], before["belongs"])


def test_a_folder_is_scored_and_then_watched_with_the_same_model(
    results: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(results / "predictions.csv")
    code = main(["watch", table, "--model", str(model), "-o", str(tmp_path)])
    rows = rows_in(results)
    rejected = sum(row["belongs"] == "False" for row in rows)
    low, high = conformal.promised_range(200, 21, alpha=0.025)
    output = capsys.readouterr().out
    assert output.startswith(
        f"21 images, {rejected} rejected ({percent(rejected / 21, 3)}); "
        f"expected range: {percent(low, 3)} to {percent(high, 3)} "
    )
    blocks = pd.read_csv(tmp_path / "watch.csv", keep_default_na=False)
    assert blocks.loc[blocks["class"] == "", "rejected"].sum() == rejected
    assert code == int(
        "\nNo alarm: the rate is within its expected range.\n" not in output
        and "outside its expected range" not in output
    )


# --- a folder of new images, scored and watched in one command ----------------------------------


def watch(source: Path, model: Path, *more: str) -> int:
    return main(["watch", str(source), "--model", str(model), "--device", "cpu", *more])


def uploads(
    incoming: Incoming, model: Path, out: Path | None
) -> tuple[pd.DataFrame, list[tuple[str, str]]]:
    return scored(incoming, load_model(model, device="cpu"), out, ScoringOptions(1, 4))


def test_watching_a_folder_of_images_is_scoring_it_and_watching_what_came_out(
    photos: Path, model: Path, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, file in enumerate(below(photos).files):  # the times go with the paths
        os.utime(photos / file, (place, place), follow_symlinks=False)
    code = watch(photos, model, "--batch-size", "4", "-o", str(tmp_path / "out"))
    output = capsys.readouterr().out
    assert code == watch(results, model, "-o", str(tmp_path / "then"))
    assert output == capsys.readouterr().out + (
        f"skipped: 2 unreadable files, the first: digits/005a.png (cut off: image file "
        f"is truncated); {tmp_path}/out/unreadable.csv lists them\n"
    )
    for name in ("predictions.csv", "unreadable.csv"):
        assert (tmp_path / "out" / name).read_bytes() == (results / name).read_bytes()
    table_bytes = (tmp_path / "out/watch.csv").read_bytes()
    assert table_bytes == (tmp_path / "then/watch.csv").read_bytes()


def test_a_folder_of_images_is_taken_in_the_order_of_the_times_of_its_files(
    photos: Path, model: Path
) -> None:
    incoming = below(photos)
    for place, file in enumerate(incoming.files):
        os.utime(photos / file, (1000 - place, 1000 - place))
    names = [in_table(file) for file in incoming.files]
    rows, _ = uploads(incoming, model, None)
    bad = {"digits/005a.png", "empty.jpg"}
    assert rows["path"].to_list() == [name for name in reversed(names) if name not in bad]


def test_without_a_folder_for_the_results_nothing_is_kept(
    photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert watch(photos, model) in {0, 1}
    assert not list(tmp_path.iterdir())
    message = "interrupted; nothing is kept without output="
    with interruption(), pytest.raises(KeyboardInterrupt, match=message):
        uploads(below(photos), model, None)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_watch_keeps_what_is_scored_and_goes_on_from_there(
    photos: Path, model: Path, results: Path, tmp_path: Path
) -> None:
    message = "16 of 23 images are done; run the same command"
    with interruption(), pytest.raises(KeyboardInterrupt, match=message):
        uploads(below(photos), model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [UNFINISHED]
    uploads(below(photos), model, tmp_path)
    assert (tmp_path / "predictions.csv").read_bytes() == (results / "predictions.csv").read_bytes()


def test_predictions_of_before_and_a_folder_of_images_are_one_stream(
    photos: Path, model: Path, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(results), str(photos), "--model", str(model)]) in {0, 1}
    assert capsys.readouterr().out.startswith("42 images, ")


def test_the_folder_with_what_was_scored_stands_for_its_predictions(
    results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results, tmp_path / "out")
    Image.new("L", (5, 5)).save(tmp_path / "out/watch.png")  # of an earlier scan
    assert look(tmp_path / "out") == tmp_path / "out/predictions.csv"


def test_where_no_new_image_can_be_read_the_first_is_named(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").touch()
    assert watch(tmp_path, model) == 3
    assert capsys.readouterr().err == (
        f"belong watch: {tmp_path}: 0 of 1 images can be read; the first: a.png (empty: 0 bytes)\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photos", "photos", "--model", "M"], "photos: expected at most one folder of images"),
        (["photos"], "photos: a folder of images needs --model"),
        (["photos", "--model", "M", "--images", "photos"],
         "photos: --images is for predictions, not for a folder of images"),
        (["photos/a.png", "--model", "M"],
         "photos/a.png: expected a folder of images or predictions.csv, got an image"),
        (["both", "--model", "M"], "both: expected a folder of images or the file"),
        (["M", "--model", "M"], "M: expected a folder of images, or an output of `belong score`"),
        (["photos", "--model", "photos"], "photos/manifest.json: no such file; expected"),
        (["photos", "gone.csv", "--model", "M"], "gone.csv: no such file; expected predictions"),
        (["photos", "--model", "M", "-o", "both"], "both: has the predictions.csv of other images"),
    ],
)  # fmt: skip
def test_unusable_input_of_watch_is_refused_before_scoring(
    results: Path,
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    for folder in ("photos", "both"):
        (tmp_path / folder).mkdir()
        Image.new("L", (28, 28)).save(tmp_path / folder / "a.png")
    shutil.copy(results / "predictions.csv", tmp_path / "both")
    (tmp_path / "M").symlink_to(model)
    monkeypatch.chdir(tmp_path)
    assert main(["watch", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"belong watch: {message}")
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "both", "M"}


def test_no_path_in_a_table_is_a_formula_and_each_still_names_its_file(
    photos: Path, model: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "=photos", tmp_path / "out"
    names = ["+1.png", "-1.png", "0.png", "=1+1.png", "@a.png", "\tb.png", "\uff1dc.png"]
    folder.mkdir()
    for place, name in enumerate(names):
        shutil.copy(photos / "digits" / f"{place:03}.png", folder / name)
    (folder / "-empty.png").touch()
    assert watch(folder, model, "-o", str(out)) in {0, 1}
    paths = {row["path"] for row in rows_in(out)}
    assert paths == {"0.png", *(f"./{name}" for name in names if name != "0.png")}
    assert {str(Path(path)) for path in paths} == set(names)
    assert all((folder / path).is_file() for path in paths)
    assert rows_in(out, "unreadable.csv") == [{"path": "./-empty.png", "reason": "empty: 0 bytes"}]
    assert run(folder, model, out) == 0
    assert "./=1+1.png" in (out / "gallery.html").read_text(encoding="utf-8")


def test_a_name_with_a_carriage_return_is_scored_shown_and_watched(
    photos: Path, model: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "uploads", tmp_path / "out"
    folder.mkdir()
    for place, name in enumerate(["a\rb.png", "c.png"]):
        shutil.copy(photos / "digits" / f"{place:03}.png", folder / name)
    assert run(folder, model, out) == 0
    assert [row["path"] for row in rows_in(out)] == ["a\rb.png", "c.png"]
    assert watch(out, model, "--images", str(folder)) in {0, 1}


def test_a_file_is_decoded_once_and_the_networks_are_built_once(
    photos: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second_reads: list[Path] = []
    predictors: list[Predictor] = []
    build = Predictor._build

    def recorded(
        batches: Iterable[Sequence[Path]], form: ImageForm, *, jobs: int, thumbnail_px: int
    ) -> Generator[Answers]:
        paths = list(batches)
        second_reads.extend(path for batch in paths for path in batch)
        return decoded(paths, form, jobs=jobs, thumbnail_px=thumbnail_px)

    def counted(self: Predictor, bundle: Bundle, backbone: Backbone | None) -> None:
        predictors.append(self)
        build(self, bundle, backbone)

    monkeypatch.setattr(gallery, "decoded", recorded)
    monkeypatch.setattr(Predictor, "_build", counted)
    assert run(photos, model, tmp_path / "out") == 0
    assert (len(predictors), second_reads) == (1, [])
    monkeypatch.setattr(sprite_sheets, "KEPT_BYTES", 0)
    assert run(photos, model, tmp_path / "none_kept") == 0
    assert (len(predictors), len(second_reads)) == (2, 21)
    one, other = (tmp_path / name / "gallery.html" for name in ("out", "none_kept"))
    assert abs(len(one.read_bytes()) - len(other.read_bytes())) < 200  # last digits of distances


# --- interruptions -------------------------------------------------------------------------------


@contextmanager
def interruption() -> Iterator[None]:
    """Simulate Ctrl-C while the fifth batch is scored; batches run one after the other."""
    score, calls = Predictor.score, itertools.count()

    def broken_off(self: Predictor, images: np.ndarray, *, stopped: Event | None = None) -> Scores:
        if next(calls) >= 5:  # the first is that of the blank image
            raise KeyboardInterrupt
        return score(self, images, stopped=stopped)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "score", broken_off)
        patch.setattr("belong.prediction.model.AT_ONCE", 1)
        yield


def interrupted(photos: Path, model: Path, out: Path) -> str:
    with interruption(), pytest.raises(KeyboardInterrupt) as error:
        score_files(
            below(photos), load_model(model, device="cpu"), out, ScoringOptions(1, 4),
            source=str(photos), say=print,
        )  # fmt: skip
    return str(error.value)


def test_an_interrupted_run_leaves_no_table_and_says_how_far_it_came(
    photos: Path, model: Path, tmp_path: Path
) -> None:
    message = interrupted(photos, model, tmp_path)
    assert message == ("interrupted; 16 of 23 images are done; run the same command to resume")
    assert [path.name for path in tmp_path.iterdir()] == [UNFINISHED]


def test_after_an_interruption_the_tables_are_those_of_a_run_without_one(
    photos: Path, model: Path, results: Path, tmp_path: Path
) -> None:
    interrupted(photos, model, tmp_path)
    assert run(photos, model, tmp_path, "--batch-size", "4") == 0
    for name in ("predictions.csv", "unreadable.csv"):
        assert (tmp_path / name).read_bytes() == (results / name).read_bytes()


def test_finished_batches_are_not_scored_again_unless_a_file_has_changed(
    photos: Path, model: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(photos, folder, symlinks=True)
    interrupted(folder, model, out)
    for batch_file in (out / UNFINISHED).iterdir():
        batch_file.write_text(batch_file.read_text().replace('"like ', '"kept: like '))
    (folder / "clothes" / "500.png").touch()  # in the first batch of four
    assert run(folder, model, out, "--batch-size", "4") == 0
    like = [row["reason"] for row in rows_in(out) if row["belongs"] == "True"]
    batches = {file: at // 4 for at, file in enumerate(below(folder).files)}
    for row in rows_in(out):
        name = row["path"].replace("\\xe9", "\udce9")
        if row["belongs"] == "True":
            assert row["reason"].startswith("kept: ") == (batches[name] in (1, 2, 3))
    assert like


@pytest.mark.robustness
def test_half_a_batch_that_a_crash_left_is_scored_again(
    photos: Path, model: Path, results: Path, tmp_path: Path
) -> None:
    interrupted(photos, model, tmp_path)
    for batch_file in (tmp_path / UNFINISHED).iterdir():
        batch_file.write_text(batch_file.read_text()[:20])
    assert run(photos, model, tmp_path, "--batch-size", "4") == 0
    assert (tmp_path / "predictions.csv").read_bytes() == (results / "predictions.csv").read_bytes()


@pytest.mark.robustness
def test_a_signal_ends_batches_that_are_at_work_and_the_same_command_goes_on(
    pipeline_images: np.ndarray, model: Path, tmp_path: Path
) -> None:
    """With decoders in processes and a thread for each processor; a batch for each image."""
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    Image.fromarray(pipeline_images[0, 0]).save(photos / "0000.png")
    for number in range(1, 400):
        os.link(photos / "0000.png", photos / f"{number:04}.png")
    words = [str(photos), "--model", str(model), "--device", "cpu", "--batch-size", "1"]
    command = [sys.executable, "-m", "belong", "score", *words, "-o", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        while not any((out / UNFINISHED).glob("*.json")):
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)  # SIGINT is ignored by what a script starts with &
        _, output = process.communicate(timeout=120)
    n_done = len(list((out / UNFINISHED).glob("*.json")))
    assert (process.returncode, output) == (
        130,
        f"belong score: interrupted; {n_done} of 400 images are done; run the same command to "
        f"resume\n",
    )
    assert [path.name for path in out.iterdir()] == [UNFINISHED]
    assert run(photos, model, out, "--batch-size", "1", "--no-gallery") == 0
    rows = rows_in(out)
    assert [row.pop("path") for row in rows] == [f"{number:04}.png" for number in range(400)]
    assert all(row == rows[0] for row in rows)


def test_a_predictor_that_is_stopped_scores_no_more(
    model: Path, pipeline_images: np.ndarray
) -> None:
    stopped = Event()
    stopped.set()
    with pytest.raises(CancelledError):
        Predictor(Bundle.load(model), device=CPU).score(pipeline_images[:3], stopped=stopped)


# --- the command, and bad input ------------------------------------------------------------------


def test_the_same_run_may_replace_its_own_results(
    photos: Path, model: Path, results: Path, tmp_path: Path
) -> None:
    shutil.copytree(results, tmp_path / "out")
    assert run(photos, model, tmp_path / "out", "--batch-size", "4") == 0


@pytest.mark.parametrize("overwrite", [False, True])
def test_results_of_another_run_are_replaced_only_if_that_is_asked_for(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], overwrite: bool
) -> None:
    (tmp_path / "predictions.csv").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    code = run(photos / "digits" / "001.png", model, tmp_path, *["--overwrite"] * overwrite)
    assert (code, (tmp_path / "predictions.csv").read_text() == "mine") == (
        (0, False) if overwrite else (2, True)
    )
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert overwrite or capsys.readouterr().err == (
        f"belong score: {tmp_path}: has the predictions.csv of other images or of another model; "
        f"expected another folder, or --overwrite\n"
    )


def test_a_folder_of_which_nothing_can_be_read_has_its_own_exit_code(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_text("x")
    out = tmp_path / "out"
    assert run(tmp_path / "in", model, out) == 3
    message = (
        f"{tmp_path}/in: 0 of 1 images can be read; the first: a.png (not an image, or not in a "
        f"supported format); {out}/unreadable.csv lists all"
    )
    assert capsys.readouterr().err == f"belong score: {message}\n"
    (row,) = rows_in(out, "unreadable.csv")
    assert row == {"path": "a.png", "reason": "not an image, or not in a supported format"}


def test_a_result_that_cannot_be_written_is_one_line(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file")
    assert run(photos, model, tmp_path / "out") == 2
    assert capsys.readouterr().err == f"belong score: {tmp_path}/out: File exists\n"


@pytest.mark.parametrize(
    ("images", "more", "message"),
    [
        ("gone", [], "gone: no such file or folder"),
        ("empty", [], "empty: expected images, got none (0 other files and folders)"),
        pytest.param(
            "photos", ["--device", "cuda"], "expected auto or cpu, as torch finds no GPU",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here"),
        ),
    ],
)  # fmt: skip
def test_a_mistake_of_the_user_is_one_line(
    photos: Path,
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    images: str,
    more: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    source = photos if images == "photos" else tmp_path / images
    assert run(source, model, tmp_path / "out", *more) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("belong score: ")
    assert message in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["score", "watch"])
@pytest.mark.parametrize("inside", ["", "out", "a/b"])
def test_results_among_the_images_are_refused_and_nothing_is_written(
    photos: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    inside: str,
    command: str,
) -> None:
    before = sorted(photos.rglob("*"))
    out = photos / "digits" / ".." / inside
    assert main([command, str(photos), "--model", str(model), "-o", str(out)]) == 2
    assert f": expected an output outside of the folder of the images, {photos}, " in (
        capsys.readouterr().err
    )
    assert sorted(photos.rglob("*")) == before


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_a_number_that_is_none_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    with pytest.raises(SystemExit) as error:
        run(tmp_path, tmp_path, tmp_path, f"--jobs={number}")
    assert error.value.code == 2
    assert "argument --jobs: expected a whole number from 1 to 65536, got " in (
        capsys.readouterr().err
    )


def test_paths_come_from_standard_input(photos: Path, model: Path, tmp_path: Path) -> None:
    path_list = f"{photos}/digits/001.png\n{photos}/clothes/500.png\n"
    words = ("score", "-", "--model", str(model), "-o", str(tmp_path / "out"))
    process = subprocess.run(
        [sys.executable, "-m", "belong", *words],
        cwd=ROOT, input=path_list, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("2 images; ")
    assert [row["path"] for row in rows_in(tmp_path / "out")] == sorted(path_list.split())


@pytest.mark.parametrize(
    ("rejected", "by_chance", "is_fdr", "sentence"),
    [
        (54, 3.1, False, "at most about 3 of the 54 rejected images are expected by chance"),
        (54, 1.4, False, "at most about 1 of the 54 rejected images is expected by chance"),
        (54, 0.9, False, "fewer than 1 of the 54 rejected images is expected by chance"),
        (2, 3.1, False,
         "2 images are rejected; if all belonged, about 3 would be rejected by chance"),
        (1, 0.3, False,
         "1 image is rejected; if all belonged, fewer than 1 would be rejected by chance"),
        (6, 1.2, True, "on average, at most about 1 of the 6 rejected images belongs"),
        (5, 0.5, True, "on average, fewer than 1 of the 5 rejected images belongs"),
        (0, 0.0, True, "0 images are rejected"),
    ],
)  # fmt: skip
def test_the_number_of_images_rejected_by_chance_is_a_sentence(
    rejected: int, by_chance: float, is_fdr: bool, sentence: str
) -> None:
    assert by_chance_in_words(rejected, by_chance, is_fdr=is_fdr) == sentence


def test_the_help_needs_neither_torch_nor_pandas() -> None:
    code = "import sys; from belong.commands.main import parser, COMMANDS; "
    code += "[parser(name).format_help() for name in ['', *COMMANDS]]; "
    code += "print(sorted({'torch', 'pandas', 'numpy', 'matplotlib'} & set(sys.modules)))"
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert process.stdout == "[]\n"


def test_digits_are_scored_without_timm_and_torchvision(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    code = "import sys; from belong.commands.main import main; code = main(sys.argv[1:]); "
    code += "print(code, sorted({'timm', 'torchvision', 'scipy', 'sklearn'} & set(sys.modules)))"
    words = ("score", str(photos / "digits"), "--model", str(model), "-o", str(tmp_path / "out"))
    process = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert process.stdout.splitlines()[-1] == "0 []"
