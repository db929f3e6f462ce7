"""`belong watch` on streams of predictions: its output and exit codes."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from belong.calibration.conformal import promised_range
from belong.commands.main import main
from belong.runtime.text import percent
from tests.predictions import predictions, write_predictions

PROMISE = ("--alpha", "0.05", "--calibration-images", "999")


def one_in(step: int, images: int) -> np.ndarray:
    return np.asarray(np.arange(images) % step == 0)


def watch_code(folder: Path, table: pd.DataFrame, *more: str) -> int:
    path = write_predictions(folder / "predictions.csv", table)
    return main(["watch", str(path), *PROMISE, *more])


def test_a_rate_as_promised_is_within_its_band(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert watch_code(tmp_path, predictions(one_in(20, 2000), ["ant", "bee", "cow"])) == 0
    output = capsys.readouterr().out
    low, high = promised_range(999, 2000, alpha=0.05)
    assert output.startswith(
        f"2,000 images, 100 rejected (5%); expected range: {percent(low, 3)} to {percent(high, 3)}"
    )
    assert "\nNo alarm: the rate is within its expected range.\n" in output


def test_a_rate_that_rises_is_noticed_and_its_beginning_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected = np.concatenate([one_in(20, 1000), one_in(4, 400)])
    assert watch_code(tmp_path, predictions(rejected, ["ant", "bee", "cow"])) == 1
    match = re.search(
        r"has drifted: .* of the images are rejected since about image ([\d,]+) \((\d+)\.png\)",
        capsys.readouterr().out,
    )
    assert match
    # Rejects come every 20 and then every 4 images: image 1001 is the first of the latter.
    assert (match[1], match[2]) == ("1,001", "1000")


def test_a_rate_that_falls_to_nothing_is_noticed_too(tmp_path: Path) -> None:
    rejected = np.concatenate([one_in(20, 1000), np.zeros(1000, bool)])
    assert watch_code(tmp_path, predictions(rejected, ["ant"])) == 1


def test_one_class_that_drifts_is_named_where_all_together_do_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From image 1600 on, all rejects are of one of eight classes; before, of all classes."""
    places = np.arange(3200)
    before = (places % 160) % 23 == 0
    after = (places % 8 == 3) & (places // 8 % 2 == 0)
    rejected = np.where(places < 1600, before, after)
    assert watch_code(tmp_path, predictions(rejected, list("abcdefgh"))) == 1
    output = capsys.readouterr().out
    assert "The rate has not drifted, but classes have: d." in output


def test_a_class_that_is_always_rejected_more_often_than_others_does_not_drift(
    tmp_path: Path,
) -> None:
    """One of four has all the rejects, 20% of its own, from the start."""
    rejected = np.random.default_rng(3).permutation(one_in(5, 500))
    table = predictions(np.kron(rejected, [1, 0, 0, 0]).astype(bool), list("abcd"))
    assert watch_code(tmp_path, table) == 0


def test_the_blocks_add_up_to_the_stream_and_to_its_classes(tmp_path: Path) -> None:
    table = predictions(one_in(17, 1234), ["ant", "bee", "cow"])
    watch_code(tmp_path, table, "-o", str(tmp_path / "out"))
    blocks = pd.read_csv(tmp_path / "out" / "watch.csv", keep_default_na=False)
    sums = blocks.groupby("class")[["images", "rejected"]].sum()
    rejected = table[~table["belongs"]]["class"].value_counts()
    assert sums["images"].to_dict() == {"": 1234, **table["class"].value_counts().to_dict()}
    assert sums["rejected"].to_dict() == {"": 73, **rejected.to_dict()}
    whole = blocks[blocks["class"] == ""]
    assert whole["first"].tolist() == [1, *(whole["last"][:-1] + 1)]
    with Image.open(tmp_path / "out" / "watch.png") as image:
        assert image.format == "PNG"


@pytest.mark.pipeline
def test_files_are_one_stream_in_the_order_that_they_are_given_in(tmp_path: Path) -> None:
    table = predictions(np.concatenate([one_in(20, 1000), one_in(4, 400)]), ["ant"])
    halves = [
        str(write_predictions(tmp_path / f"{name}.csv", half))
        for name, half in (("b", table[:700]), ("a", table[700:]))
    ]
    for name, files in (("two", halves), ("one", [str(tmp_path / "whole.csv")])):
        write_predictions(tmp_path / "whole.csv", table)
        main(["watch", *files, *PROMISE, "-o", str(tmp_path / name)])
    assert (tmp_path / "two/watch.csv").read_bytes() == (tmp_path / "one/watch.csv").read_bytes()


def test_with_the_images_at_hand_the_order_is_that_of_their_files_times(tmp_path: Path) -> None:
    table = predictions(np.concatenate([one_in(4, 100), one_in(20, 300)]), ["ant"])
    images = tmp_path / "images"
    images.mkdir()
    for place, path in enumerate(table["path"]):
        (images / path).touch()
        os.utime(images / path, (0, 1000 - place))
    watch_code(tmp_path, table, "--images", str(images), "-o", str(tmp_path / "out"))
    blocks = pd.read_csv(tmp_path / "out" / "watch.csv", keep_default_na=False)
    # In 40 blocks of 10; the last hundred images are now those with a reject in four.
    whole = blocks[blocks["class"] == ""]["rejected"]
    assert (whole[:30].sum(), whole[30:].sum()) == (15, 25)


GOOD = "path,class,belongs,p_value\na.png,ant,True,0.5\n"
REFUSED = {
    "empty": ("", "predictions.csv: cannot be read as a table: No columns to parse from file"),
    "no row": (GOOD[:27], "predictions.csv: expected the predictions of at least one"),
    "no column": ("path,class\na,b\n", "predictions.csv: expected a column 'belongs', got path"),
    "above 1": (GOOD.replace("0.5", "1.5"), "predictions.csv: row 1: p_value: expected"),
    "zero": (GOOD.replace("0.5", "0"), "predictions.csv: row 1: p_value: expected above 0"),
    "no number": (GOOD.replace("0.5", "x"), "predictions.csv: row 1: p_value: expected"),
    "verdict": (GOOD.replace("True", "yes"), "predictions.csv: row 1: belongs: expected"),
    "other alpha": (GOOD.replace("True", "False"),
                    "a.png: belongs: expected True at alpha"),
    "other model": (GOOD.replace("0.5", "0.5005"),
                    "a.png: p-value: expected a multiple of 1/1000 for 999 calibration images"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_is_no_stream_of_predictions_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    content, message = REFUSED[case]
    (tmp_path / "predictions.csv").write_text(content)
    assert main(["watch", str(tmp_path / "predictions.csv"), *PROMISE]) == 2
    output = capsys.readouterr().err.replace(f"{tmp_path}/", "")
    assert output.startswith(f"belong watch: {message}")
    assert output.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "expected --model, or both --alpha and --calibration-images"),
        (["--alpha", "0.05"], "expected --model, or both --alpha and --calibration-images"),
        ([*PROMISE, "--model", "m"], "--alpha, --calibration-images: not allowed with --model"),
        (["--model", "m"], "m/manifest.json: no such file; expected the folder of a model"),
        (["--alpha", "0.05", "--calibration-images", "18"],
         "--calibration-images: expected at least 19 at alpha 0.05, got 18"),
        ([*PROMISE, "--images", "nowhere"],
         "nowhere: expected every image of the predictions, got no a.png"),
    ],
)  # fmt: skip
def test_a_promise_that_is_not_known_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    (tmp_path / "predictions.csv").write_text(GOOD.replace("0.5", "1"))
    assert main(["watch", str(tmp_path / "predictions.csv"), *options]) == 2
    assert capsys.readouterr().err.startswith(f"belong watch: {message}")


def test_one_image_gives_no_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert watch_code(tmp_path, predictions(np.zeros(1, bool), ["ant"])) == 0
    output = capsys.readouterr().out
    assert output.startswith("1 image, 0 rejected")
    assert "10^-0.0" not in output


def test_a_folder_of_neither_images_nor_predictions_is_called_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", str(tmp_path), *PROMISE]) == 2
    assert "got neither images nor predictions.csv" in capsys.readouterr().err


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(tmp_path / "nothing.csv"), *PROMISE]) == 2
    assert "nothing.csv: no such file; expected predictions.csv of `belong score`" in (
        capsys.readouterr().err
    )
