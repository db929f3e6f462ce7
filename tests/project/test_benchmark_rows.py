"""Every row of the benchmarks at tiny sizes: the results agree, and a changed one is detected."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belong.runtime import portable_math
from benchmarks.contract import Growth, Race, Setting
from benchmarks.registry import LONG, SHORT
from tests.imports import NO_STAGES, ROOT

pytestmark = pytest.mark.pipeline

# Of the long rows, those of DVC run what tests/pipeline/test_pipeline.py runs, and for as long.
# In portable math tests/models/test_bfloat16.py starts a process for the row of fast math.
IN_FAST_MATH = {"embed-lite0-bfloat16"} if portable_math.current() == portable_math.PORTABLE else {}
RACES = [name for name in SHORT if not name.startswith("growth-") and name not in IN_FAST_MATH]
GROWTHS = [name for name in SHORT if name.startswith("growth-")]


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(quick=True, threads=1, folder=tmp_path_factory.mktemp("benchmarks"))


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def with_an_error(result: Any) -> Any:
    """Return a result of the same shape with other values."""
    values = np.asarray(result, np.float64)
    return values + 1 if values.ndim == 0 else values[::-1] + 1


# From Python 3.12 on, the DataLoader of a peer makes Python warn of threads and fork.
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", [*RACES, "score-camera", "start-train"])
def test_we_agree_with_every_peer_that_is_installed_and_would_not_if_we_were_wrong(
    name: str, setting: Setting
) -> None:
    race = (SHORT | LONG)[name](setting)
    assert isinstance(race, Race)
    ours = race.sample(race.ours(0))
    for peer_name, peer in race.peers.items():
        if peer.is_here:
            theirs = race.sample(peer.work(0))
            assert peer.check([ours], [theirs]).agrees, peer_name
            assert not peer.check([with_an_error(ours)], [theirs]).agrees, peer_name


@pytest.mark.parametrize("name", GROWTHS)
def test_a_work_that_grows_runs_at_its_smallest_size(name: str, setting: Setting) -> None:
    growth = SHORT[name](setting)
    assert isinstance(growth, Growth)
    assert list(growth.sizes) == sorted(growth.sizes)
    growth.work(growth.sizes[0])()


def test_every_stage_of_the_pipeline_has_a_row_for_its_start() -> None:
    programs = {path.stem for path in Path(ROOT, "stages").glob("*.py")} - NO_STAGES
    assert {name for name in LONG if name.startswith("start-")} == {f"start-{p}" for p in programs}
