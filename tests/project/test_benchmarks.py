"""The arithmetic of the benchmarks and the order of their turns; no time is checked."""

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock

import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.datasets import MNIST

from belong.data.idx import read_idx
from belong.runtime.errors import InputError
from benchmarks import profile
from benchmarks.__main__ import main
from benchmarks.agreement import Checker, labels, mean_of_seeds, order, pixels, relative
from benchmarks.alone import Alone, FailedError, measure_alone, memory_of
from benchmarks.contract import Check, Growth, Limit, Peer, Race, Setting
from benchmarks.digits import unzipped
from benchmarks.registry import ROWS
from benchmarks.rows.training import epoch_flop_per_image, forward_flop_per_image
from benchmarks.runner import Outcome, run_growth, run_race
from benchmarks.statistics import Spread, exponent, ratios
from benchmarks.stock.network import LeNet
from benchmarks.table import GROWTH_COLUMNS, page, race_row, save
from tests.imports import ROOT

ALONE = Alone(seconds=1.0, mib=64.0)


class Clock:
    """A clock that advances only when a work runs."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, name: str, seconds: list[float], diary: list[str]) -> Callable[[int], str]:
        """Return a work that takes these seconds, round by round, and records its calls."""

        def run(number: int) -> str:
            self.now += seconds[number]
            diary.append(name)
            return name

        return run


def agreeing(_ours: object, _theirs: object) -> Check:
    return Check("nothing", 0.0, 0.0)


def differing(_ours: object, _theirs: object) -> Check:
    return Check("all of it", 3.0, 1.0)


def outcomes_of(race: Race, clock: Clock, rounds: int = 3) -> list[Outcome]:
    silent = run_race(
        "row", race, rounds=rounds, alone=lambda _: ALONE, tell=lambda _: None, clock=clock
    )
    return list(silent)


def test_the_ratio_is_the_median_of_the_rounds_and_not_of_the_times() -> None:
    # The machine slows down fourfold in the third round: 1/2, 2/4, 4/16 by round.
    assert ratios([1.0, 2.0, 4.0], [2.0, 4.0, 16.0]) == Spread(0.5, 0.25, 0.5)


def test_the_exponent_of_a_power_law_is_its_power() -> None:
    sizes = [1000, 10_000, 100_000]
    assert exponent(sizes, [2e-6 * n**1.25 for n in sizes]) == pytest.approx(1.25)


@pytest.mark.pipeline
def test_everybody_works_once_in_each_round_and_every_other_round_runs_backwards() -> None:
    clock, diary = Clock(), list[str]()
    second = [1.0] * 3
    peers = {name: Peer(clock.work(name, second, diary), agreeing) for name in ("a", "b")}
    outcomes_of(Race("work", clock.work("ours", second, diary), peers), clock)
    assert diary == ["ours", "a", "b", "b", "a", "ours", "ours", "a", "b"]


@pytest.mark.pipeline
def test_an_outcome_has_the_times_of_its_own_peer() -> None:
    clock, diary = Clock(), list[str]()
    race = Race(
        "work",
        clock.work("ours", [1.0, 2.0, 3.0], diary),
        {
            "slow": Peer(clock.work("slow", [4.0, 4.0, 4.0], diary), agreeing, bar=0.5),
            "fast": Peer(clock.work("fast", [0.5, 0.5, 0.5], diary), agreeing),
        },
        limit=Limit("half a second", lambda: 0.5, bar=0.4),
    )
    slow, fast = outcomes_of(race, clock)
    assert (slow.peer, slow.ours, slow.theirs) == ("slow", Spread(2, 1, 3), Spread(4, 4, 4))
    assert (slow.ratio, slow.bar) == (Spread(0.5, 0.25, 0.75), 0.5)
    assert (slow.share, slow.share_bar) == (Spread(0.25, 0.5 / 3, 0.5), 0.4)
    assert fast.ratio == Spread(4.0, 2.0, 6.0)


@pytest.mark.pipeline
def test_other_work_of_ours_stands_beside_the_same_runs_of_a_peer() -> None:
    clock, diary = Clock(), list[str]()
    race = Race(
        "all",
        clock.work("ours", [2.0, 2.0, 2.0], diary),
        {"peer": Peer(clock.work("peer", [4.0, 4.0, 8.0], diary), agreeing)},
        also={"again": clock.work("again", [1.0, 1.0, 1.0], diary)},
        limit=Limit("a second", lambda: 1.0),
    )
    both = outcomes_of(race, clock)
    assert diary.count("peer") == 3
    assert [(one.what, one.peer) for one in both] == [("all", "peer"), ("again", "peer")]
    assert [one.ratio for one in both] == [Spread(0.5, 0.25, 0.5), Spread(0.25, 0.125, 0.25)]
    assert [one.share for one in both] == [Spread(0.5, 0.5, 0.5), None]


@pytest.mark.pipeline
def test_the_time_of_a_peer_that_does_a_tenth_of_the_work_counts_ten_times() -> None:
    clock, diary = Clock(), list[str]()
    tenth = Peer(clock.work("tenth", [1.0] * 3, diary), agreeing, part=0.1)
    (outcome,) = outcomes_of(
        Race("work", clock.work("ours", [1.0] * 3, diary), {"t": tenth}), clock
    )
    assert outcome.theirs == Spread(10.0, 10.0, 10.0)
    assert outcome.note == "did 0.1 of the work, its time is scaled"


@pytest.mark.pipeline
def test_a_peer_whose_results_differ_gets_no_time_but_a_reason() -> None:
    clock, diary = Clock(), list[str]()
    disagreeing = Peer(clock.work("wrong", [1.0] * 3, diary), differing)
    (outcome,) = outcomes_of(
        Race("work", clock.work("ours", [1.0] * 3, diary), {"w": disagreeing}), clock
    )
    assert (outcome.ours, outcome.theirs, outcome.ratio) == (None, None, None)
    assert outcome.note == "the results do not agree: all of it 3, expected at most 1"


@pytest.mark.pipeline
def test_a_peer_that_is_not_installed_is_named_and_the_others_run() -> None:
    clock, diary = Clock(), list[str]()
    peers = {
        "absent": Peer(clock.work("absent", [1.0] * 3, diary), agreeing, package="no_such_package"),
        "here": Peer(clock.work("here", [2.0] * 3, diary), agreeing),
    }
    absent, present = outcomes_of(Race("work", clock.work("ours", [1.0] * 3, diary), peers), clock)
    assert absent.note == "absent is not installed; pip install -e '.[bench]' brings it"
    assert present.ratio == Spread(0.5, 0.5, 0.5)
    assert "absent" not in diary


@pytest.mark.parametrize("check", [relative(1.0), pixels(255.0), order(2.0)])
def test_a_result_that_is_no_number_in_a_later_round_is_no_agreement(check: Checker) -> None:
    whole, with_nan = [1.0, 2.0, 4.0], [1.0, float("nan"), 4.0]
    assert check([whole, whole], [whole, whole]).agrees
    assert not check([whole, whole], [whole, with_nan]).agrees


def test_a_difference_that_is_not_a_number_is_no_agreement() -> None:
    assert not Check("nan", float("nan"), 1.0).agrees


def test_growth_takes_the_least_time_and_the_most_memory_of_each_size() -> None:
    runs: dict[str, Iterator[Alone]] = {
        "10": iter([Alone(3.0, 50.0), Alone(1.0, 100.0)]),
        "1000": iter([Alone(100.0, 90.0), Alone(200.0, 100.0)]),
    }
    growth = Growth("work", "n", (10, 1000), lambda _: lambda: None, bar=1.1)
    small, large = run_growth(
        "row", growth, rounds=2, alone=lambda size: next(runs[size]), tell=lambda _: None
    )
    assert (small.seconds, small.mib) == (1.0, 100.0)
    assert (large.size, large.seconds) == (1000, 100.0)
    assert large.time_exponent == pytest.approx(1.0)  # a hundred times the size and the time
    assert large.memory_exponent == pytest.approx(0.0)


def test_relative_differences_are_shares_of_the_largest_number_of_the_rows_that_both_have() -> None:
    check = relative(0.1)([[1.0, 4.0, 99.0]], [[1.2, 4.0]])
    assert check.difference == pytest.approx(0.05)
    assert check.agrees


def test_images_differ_by_their_mean_level_whichever_way() -> None:
    a, b = torch.tensor([[0, 10]], dtype=torch.uint8), torch.tensor([[4, 8]], dtype=torch.uint8)
    assert pixels(2.0)([a], [b]).difference == 3.0


def test_orders_that_are_each_others_reverse_differ_by_2() -> None:
    assert order(0.1)([[1, 2, 3]], [[30, 20, 10]]).difference == pytest.approx(2.0)
    assert order(0.1)([[1, 2, 3]], [[1, 20, 300]]).difference == pytest.approx(0.0)


def test_one_class_of_four_that_is_another_is_a_quarter() -> None:
    assert labels(0.1)([[1, 2, 3, 4]], [[1, 2, 3, 5]]).difference == 0.25


def test_means_of_seeds_may_differ_by_what_students_test_allows() -> None:
    # Variances 0.0001 each, 5 seeds: t(0.995; 8 degrees) = 3.3554 x sqrt(2 x 0.0001 / 5).
    ours = [0.99 + 0.01 * x for x in (-1.4142135, 0.0, 0.0, 0.0, 1.4142135)]
    check = mean_of_seeds(0.005)(ours, [one - 0.02 for one in ours])
    assert check.difference == pytest.approx(0.02)
    assert check.tolerance == pytest.approx(3.3554 * (2e-4 / 5) ** 0.5, rel=1e-4)
    assert mean_of_seeds(0.005)([0.99], [0.98]).tolerance == 0.005


def test_the_operations_of_lenet_are_those_that_torch_counts() -> None:
    with FlopCounterMode(display=False) as forward:
        _, logits = LeNet()(torch.zeros(1, 1, 28, 28))
    assert forward.get_total_flops() == forward_flop_per_image()
    with FlopCounterMode(display=False) as both:
        _, logits = LeNet()(torch.zeros(1, 1, 28, 28))
        logits.sum().backward()
    assert both.get_total_flops() == epoch_flop_per_image()


def test_the_memory_of_a_process_counts_what_it_and_its_children_hold() -> None:
    """A child of a child touches 200 MiB; Python itself takes far less than 50 of them."""
    inner = "held = bytearray(b'x') * (200 << 20); print('held', flush=True); input()"
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])"
    with subprocess.Popen(
        [sys.executable, "-c", outer], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        mib = memory_of(process.pid) / 2**20
        process.communicate("\n")
    assert 200 <= mib <= 250
    assert memory_of(process.pid) == 0  # it has ended


@pytest.mark.pipeline
def test_a_work_that_fails_alone_says_what_went_wrong(tmp_path: Path) -> None:
    setting = Setting(quick=True, threads=1, folder=tmp_path)
    with pytest.raises(FailedError, match=r"knn-50, nobody: (?s:.)*KeyError: 'nobody'"):
        measure_alone("knn-50", "nobody", setting, turn=Lock())


def line(row: str, ratio: float) -> dict[str, object]:
    outcome = Outcome(
        row, f"work of {row}", peer="peer", ours=Spread(ratio, ratio, ratio),
        theirs=Spread(1, 1, 1), ratio=Spread(ratio, ratio / 2, 2 * ratio), rounds=5, bar=0.5,
        check=Check("difference", 1e-6, 1e-4), our_mib=10.0, their_mib=20.0,
    )  # fmt: skip
    return race_row(outcome, threads=2, machine="a machine")


def test_rows_that_are_not_run_again_stay_and_all_come_in_the_order_of_the_registry(
    tmp_path: Path,
) -> None:
    save(tmp_path, [line("b", 0.25)], [], ["a", "b"])
    save(tmp_path, [line("a", 0.5)], [], ["a", "b"])
    save(tmp_path, [line("b", 0.125)], [], ["a", "b"])
    table = pd.read_csv(tmp_path / "benchmarks.csv")
    assert list(zip(table["row"], table["ratio"], strict=True)) == [("a", 0.5), ("b", 0.125)]


def test_the_page_shows_median_range_bar_and_difference_of_a_ratio() -> None:
    text = page(pd.DataFrame([line("a", 0.25)]), pd.DataFrame(columns=list(GROWTH_COLUMNS)))
    assert (
        "| work of a | peer | 0.25 | 1 | 0.25 | 0.125 to 0.5 | ≤ 0.5 |  |  | 10 | 20 | 1.0e-06 | "
        "1.0e-04 | A |"
    ) in text.splitlines()
    assert "- A: a machine." in text.splitlines()


def test_the_page_begins_with_the_comparisons_that_are_won_and_names_the_others() -> None:
    floor = line("c", 4.0) | {"peer": "import torch"}  # is no other program
    races = pd.DataFrame([line("a", 0.25), line("b", 2.0), floor])
    line_of_result = page(races, pd.DataFrame(columns=list(GROWTH_COLUMNS))).splitlines()[2]
    assert line_of_result == (
        "**Result.** In 1 of 2 comparisons with other programs `belong` takes less time; not in: "
        "work of b, peer."
    )


def run_benchmarks(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.pipeline
def test_the_command_writes_the_rows_that_it_was_asked_for(tmp_path: Path) -> None:
    options = ("--quick", "--rounds", "2", "--threads", "1", "--rows", "start-help")
    process = run_benchmarks(*options, "--out", str(tmp_path))
    assert process.returncode == 0, process.stderr
    table = pd.read_csv(tmp_path / "benchmarks.csv")
    assert table[["row", "peer", "rounds", "threads"]].to_numpy().tolist() == [
        ["start-help", "python -c pass", 2, 1]
    ]
    assert (
        (tmp_path / "benchmarks.md")
        .read_text()
        .startswith("# Speed compared with other programs\n")
    )


@pytest.mark.pipeline
def test_an_unknown_row_and_no_rounds_are_answered_with_what_is_wanted(tmp_path: Path) -> None:
    unknown = run_benchmarks("--rows", "knn")
    assert unknown.returncode == 2
    assert "invalid choice: 'knn' (choose from" in unknown.stderr
    none = run_benchmarks("--rounds", "0", "--out", str(tmp_path))
    assert none.returncode == 2
    assert none.stderr == "benchmarks: --rounds, --threads: expected at least 1\n"


def test_idx_files_are_found_by_torchvision_whether_zipped_or_not(tmp_path: Path) -> None:
    small = ROOT / "tests" / "data" / "mnist-small"
    plain = tmp_path / "plain"
    plain.mkdir()
    for file in small.glob("*-ubyte.gz"):
        (plain / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    one, other = (
        MNIST(str(unzipped(folder, tmp_path / folder.name)), train=False)
        for folder in (small, plain)
    )
    assert len(one) == len(read_idx(small / "t10k-labels-idx1-ubyte.gz", 1))
    assert torch.equal(one.data, other.data)


@pytest.mark.pipeline
def test_a_row_that_cannot_be_measured_is_named_and_the_others_are_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def missing(_: Setting) -> Race:
        raise InputError("digits: no such folder")

    monkeypatch.chdir(ROOT)
    monkeypatch.setitem(ROWS, "features", missing)
    words = ["--quick", "--rounds", "1", "--threads", "1", "--out", str(tmp_path)]
    assert main([*words, "--rows", "features", "start-help"]) == 2
    output = capfd.readouterr().err
    assert "benchmarks: features: digits: no such folder\n" in output
    assert output.endswith("benchmarks: not measured, see above: features\n")
    assert set(pd.read_csv(tmp_path / "benchmarks.csv")["row"]) == {"start-help"}


def test_the_parts_of_a_work_are_each_done_once_after_all_of_it() -> None:
    calls: list[str] = []
    race = Race(
        what="both",
        ours=lambda _: calls.append("whole"),
        parts={"first": lambda: calls.append("first"), "second": lambda: calls.append("second")},
    )
    table = profile.by_part(race)
    assert calls == ["whole", "first", "second"]
    assert list(table["part"]) == [profile.WHOLE, "first", "second"]
    assert (table["seconds"] >= 0).all()


def test_the_stages_of_the_last_run_are_listed_the_longest_first(tmp_path: Path) -> None:
    for name, seconds in (("pack", 0.7), ("train", 57.0), ("fetch@mnist", 1.5)):
        (tmp_path / f"{name}.json").write_text(f'{{"seconds": {seconds}, "peak_mib": 1.0}}')
    table = profile.of_stages(tmp_path)
    assert list(table["part"]) == ["train", "fetch@mnist", "pack"]
    assert list(table["seconds"]) == [57.0, 1.5, 0.7]


def test_a_profile_names_the_search_and_its_shares_add_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    words = ["--quick", "--threads", "1", "--rows", "knn-50", "--out", str(tmp_path)]
    assert profile.main(words) == 0
    table = pd.read_csv(tmp_path / "benchmarks_profile.csv")
    assert "aten::topk" in set(table["operator"])  # the product is NumPy's
    assert table["share"].sum() == pytest.approx(1, abs=1e-5)  # of 13 rounded numbers
