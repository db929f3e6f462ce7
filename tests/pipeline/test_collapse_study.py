"""The study of trainings that collapse."""

from pathlib import Path

import pandas as pd
import pytest

from reproduction.collapse_study import study
from reproduction.collapse_study.folders import SmallFolder
from reproduction.collapse_study.page import page
from tests.imports import ROOT

DATA = ROOT / "tests" / "data"
REPORT = ROOT / "reports" / "photos"


def test_each_seed_trains_on_other_images_of_each_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = (
        SmallFolder("digits", "mnist", 2, 60),
        SmallFolder("clothes", "fashion-mnist", ("1", "8", "9"), 40),
    )
    monkeypatch.setattr(study, "FOLDERS", small)
    sources = [f"mnist={DATA / 'mnist-small'}", f"fashion-mnist={DATA / 'fashion-mnist-small'}"]
    words = [str(tmp_path), *sources, "--seeds", "2", "--epochs", "40"]
    assert study.main(words) == 0
    rows = pd.read_csv(tmp_path / "collapse.csv")
    assert rows[["folder", "seed", "classes"]].to_numpy().tolist() == [
        ["digits", 0, 2], ["clothes", 0, 3], ["digits", 1, 2], ["clothes", 1, 3],
    ]  # fmt: skip
    assert (rows["attempts"] == 1).all()
    assert (rows["accuracy"] > 0.8).all()
    assert not rows["at_chance"].any()
    text = (tmp_path / "collapse.md").read_text("utf-8")
    assert text == page(rows)
    assert study.main(words) == 0  # all rows are there
    assert (tmp_path / "collapse.md").read_text("utf-8") == text


def test_a_source_that_no_folder_is_drawn_from_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        study.main([str(tmp_path), "letters=somewhere"])
    assert "expected NAME=FOLDER with one of the names cifar10, " in capsys.readouterr().err


def test_a_page_counts_what_was_trained_again_refused_and_at_chance() -> None:
    rows = pd.DataFrame(
        {
            "folder": ["one", "one", "two"], "seed": [0, 1, 0], "network": "lenet", "images": 50,
            "attempts": [1, 3, 4], "refused": ["", "", "the training failed 4 times"],
            "fresh": [200, 200, float("nan")],
            "accuracy": [0.8, 0.6, float("nan")], "guessing": [0.5, 0.5, float("nan")],
            "at_chance": [False, True, None],
        }
    )  # fmt: skip
    text = page(rows)
    assert "2 folders x 2 seeds" in text
    assert "parts and weights (still missing: 1 training)." in text
    assert "Of 3 trainings, 2 yielded a network, and 1 were refused" in text
    assert "| one | lenet | 50 | 200 | 0.700 ± 0.141 | 0.600 | 0.500 | 2 | 0 | 1 |" in text
    assert "| two | lenet | 50 | - | - | - | - | 3 | 1 | 0 |" in text


def test_the_committed_page_is_made_of_the_committed_table_and_no_network_is_at_chance() -> None:
    rows = pd.read_csv(REPORT / "collapse.csv")
    assert (REPORT / "collapse.md").read_text("utf-8") == page(rows)
    assert rows["folder"].nunique() >= 10
    assert not rows["at_chance"].eq(True).any()
