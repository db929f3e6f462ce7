"""DVCLive writes the curves of a training while it runs."""

from pathlib import Path

import pandas as pd
import pytest

from belong.runtime.live_curves import live_curves

ROWS = [{"epoch": number, "loss": 1 / number, "accuracy": 0.5} for number in (1, 2, 3)]


def curve(folder: Path, name: str) -> list[tuple[int, float]]:
    table = pd.read_csv(folder / "plots" / "metrics" / f"{name}.tsv", sep="\t")
    return [
        (int(step), float(value)) for step, value in zip(table["step"], table[name], strict=True)
    ]


def test_each_epoch_is_in_the_curves_before_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with live_curves(Path("live"), resumes=False) as watch:
        watch(ROWS[0])
        assert curve(Path("live"), "loss") == [(1, 1.0)]
        watch(ROWS[1])
        assert curve(Path("live"), "loss") == [(1, 1.0), (2, 0.5)]
    assert not list(tmp_path.rglob("dvc.yaml"))


@pytest.mark.parametrize(("resumes", "steps"), [(True, [1, 2, 3]), (False, [2, 3])])
def test_curves_continue_after_an_interruption_and_otherwise_start_again(
    resumes: bool, steps: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with live_curves(Path("live"), resumes=False) as watch:
        watch(ROWS[0])
    with live_curves(Path("live"), resumes=resumes) as watch:
        watch(ROWS[1])
        watch(ROWS[2])
    assert [step for step, _ in curve(Path("live"), "accuracy")] == steps


def test_without_dvclive_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("belong.runtime.live_curves.find_spec", lambda _name: None)
    with live_curves(Path("live"), resumes=False) as watch:
        watch(ROWS[0])
    assert list(tmp_path.iterdir()) == []
