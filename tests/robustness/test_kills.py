"""The kills of `python -m tests.robustness.kills`, and which results count as harm."""

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.clones import call, commit
from tests.imports import ROOT
from tests.robustness.kills import STAGES, Row, Target, differing, restored, shuffled

HARMLESS = Row(
    killed="command", name="dvc repro train", second=1.5, was_running=True, restored_lock=False,
    exit_code=0, same_bytes=True, left_files=0, left_processes=0, stack_traces=0,
)  # fmt: skip


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    table = pd.read_csv(ROOT / "reports" / "kills.csv")
    return [Row(**dict(zip(table.columns, row, strict=True))) for row in table.to_numpy()]


def test_the_documented_kills_are_thirty_and_more_and_none_did_harm(rows: list[Row]) -> None:
    assert sum(row.was_running for row in rows) >= 30
    assert [row for row in rows if not row.is_harmless] == []


def test_they_hit_stages_dvc_scoring_fitting_and_a_grid_and_its_stage(rows: list[Row]) -> None:
    whole = {(row.killed, row.name) for row in rows if row.was_running}
    assert {("command", "belong score"), ("command", "belong fit")} <= whole
    grid = {killed for killed, name in whole if name == "grid"}
    assert grid >= {"python toy.py", "command"}
    for killed, least in (("python -m stages.", 10), ("command", 5)):
        stages = {f"dvc repro {stage}" for stage in STAGES}
        assert len(stages & {name for one, name in whole if one == killed}) >= least


def test_only_a_kill_of_dvc_itself_cuts_its_lock_short(rows: list[Row]) -> None:
    cut = [row for row in rows if row.restored_lock]
    assert {(row.killed, row.name.split()[0]) for row in cut} <= {("command", "dvc")}


@pytest.mark.parametrize(
    "harm",
    [
        {"exit_code": 255}, {"same_bytes": False}, {"left_files": 1}, {"left_processes": 1},
        {"stack_traces": 1}, {"exit_code": 2},
    ],
    ids=str,
)  # fmt: skip
def test_each_kind_of_harm_counts(harm: dict[str, Any]) -> None:
    assert HARMLESS.is_harmless
    assert not replace(HARMLESS, **harm).is_harmless


def test_a_fit_that_writes_over_no_whole_model_does_no_harm() -> None:
    refused = replace(HARMLESS, name="belong fit", exit_code=2)
    assert refused.is_harmless
    assert not replace(refused, same_bytes=False).is_harmless


def test_every_target_is_drawn_once_before_any_is_drawn_again() -> None:
    order = shuffled(list("abc"), random.Random(0))  # noqa: S311
    rounds = ["".join(next(order) for _ in range(3)) for _ in range(2)]
    assert sorted(rounds[0]) == list("abc")
    assert rounds[0] == rounds[1]


@pytest.mark.parametrize("size", [8192 * blocks for blocks in range(5)])
def test_a_lock_of_this_project_is_restored_behind_whichever_block_dvc_was_killed(
    size: int, tmp_path: Path
) -> None:
    """DVC reads most of these files, and would take the stages behind the cut for new ones."""
    for name in ("dvc.yaml", "dvc.lock"):
        shutil.copy(ROOT / name, tmp_path)
    call(tmp_path, "git", "init", "-q")
    commit(tmp_path)
    lock = tmp_path / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[:size])
    target = Target("command", "dvc repro", tmp_path, (), (), (), {}, 0)
    assert restored(target)
    assert lock.read_bytes() == whole
    assert not restored(target)


def test_files_that_are_altered_missing_or_new_differ() -> None:
    actual, expected = {"same": "1", "altered": "2", "new": "3"}, {"same": "1", "altered": "4"}
    assert differing(actual, expected | {"missing": "5"}) == ["altered", "missing", "new"]
