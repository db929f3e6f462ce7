"""Run a row: all sides in turns, round after round, and once more to measure memory."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.alone import Alone
from benchmarks.contract import OURS, Check, Growth, Peer, Race, Work
from benchmarks.statistics import Spread, exponent, ratios

LEAST_ROUNDS = 5
AT_ONCE = 2  # processes that are prepared to be measured alone, while one of them is


@dataclass(frozen=True)
class Outcome:
    """One line of the table: `belong` and one peer, or `belong` alone.

    Attributes:
        row, what: the work.
        peer: name of the other program; empty if there is none.
        ours: our seconds.
        theirs: the peer's seconds.
        ratio: ours over theirs, of each round; none if the results do not agree.
        rounds: how many.
        bar: what the ratio should stay below.
        check: whether the results agree.
        limit: what the limit is, in words.
        share: the time of the limit over ours, of each round.
        share_bar: what the share should reach.
        our_mib, their_mib: peak memory of a process that does it once.
        note: why there are no numbers.
    """

    row: str
    what: str
    peer: str = ""
    ours: Spread | None = None
    theirs: Spread | None = None
    ratio: Spread | None = None
    rounds: int = 0
    bar: float | None = None
    check: Check | None = None
    limit: str = ""
    share: Spread | None = None
    share_bar: float | None = None
    our_mib: float | None = None
    their_mib: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Grown:
    """One line of the table of growth: a work at one size.

    Attributes:
        row, what, axis: the work, and what grows.
        size: how much of it.
        seconds: the least of the rounds.
        mib: peak memory.
        time_exponent, memory_exponent: p of size^p, over all sizes of the work.
        bar: what the exponent of the time should stay below.
    """

    row: str
    what: str
    axis: str
    size: int
    seconds: float
    mib: float
    time_exponent: float
    memory_exponent: float
    bar: float | None


def run_race(
    row: str,
    race: Race,
    *,
    rounds: int,
    alone: Callable[[str], Alone],
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.perf_counter,
) -> Iterator[Outcome]:
    """Yield an outcome of each work of ours for each peer, or one if there is none.

    Args:
        row: its name.
        race: the work.
        rounds: how often each program does it; with 5 or more the spread of the ratios is known.
        alone: contender -> what the work takes in a process of its own.
        tell: called with a line before each step.
        clock: seconds.
    """
    peers = {name: peer for name, peer in race.peers.items() if peer.is_here}
    work_of: dict[str, Work] = {OURS: race.ours, **race.also}
    works = work_of | {name: peer.work for name, peer in peers.items()}
    seconds: dict[str, list[float]] = {name: [] for name in works}
    results: dict[str, list[Any]] = {name: [] for name in works}
    possible: list[float] = []
    for number in range(rounds):
        if race.limit is not None:
            possible.append(race.limit.seconds())
        # Every other round runs backwards, so that a machine that slows down favors no program.
        for name in list(works)[:: -1 if number % 2 else 1]:
            tell(f"{row}: round {number + 1} of {rounds}, {name}")
            part = peers[name].part if name in peers else 1.0
            spent, result = timed(works[name], number, clock)
            seconds[name].append(spent / part)
            results[name].append(race.sample(result))
            del result

    def memory(name: str) -> float:
        tell(f"{row}: memory, {name}")
        return alone(name).mib

    with ThreadPoolExecutor(AT_ONCE) as threads:
        mib = dict(zip(works, threads.map(memory, works), strict=True))
    shares = [best / spent for best, spent in zip(possible, seconds[OURS], strict=False)]
    for contender in work_of:
        description = race.what if contender == OURS else contender
        ours = Outcome(
            row,
            description,
            ours=Spread.of(seconds[contender]),
            rounds=rounds,
            our_mib=mib[contender],
        )
        if race.limit and contender == OURS:
            ours = replace(
                ours, limit=race.limit.what, share=Spread.of(shares), share_bar=race.limit.bar
            )
        if not race.peers:
            yield ours
        for name, peer in race.peers.items():
            if name in peers:
                check = peer.check(results[contender], results[name])
                times = seconds[contender], seconds[name]
                yield against(ours, name, peer, check, times, mib[name])
            else:
                package = f"{name} is not installed; pip install -e '.[bench]' brings it"
                yield replace(ours, peer=name, bar=peer.bar, note=package)


def against(
    ours: Outcome,
    name: str,
    peer: Peer,
    check: Check,
    times: tuple[Sequence[float], Sequence[float]],
    their_mib: float,
) -> Outcome:
    """Return `ours` beside a peer: without times if the results do not agree.

    `times` are the seconds of each round, ours and the peer's.
    """
    our_seconds, their_seconds = times
    if not check.agrees:
        note = (
            f"the results do not agree: {check.what} {check.difference:.3g}, "
            f"expected at most {check.tolerance:.3g}"
        )
        return Outcome(
            ours.row, ours.what, peer=name, rounds=ours.rounds, check=check, bar=peer.bar, note=note
        )
    part = f"did {peer.part:.3g} of the work, its time is scaled" if peer.part < 1 else ""
    return replace(
        ours,
        peer=name,
        theirs=Spread.of(their_seconds),
        ratio=ratios(our_seconds, their_seconds),
        bar=peer.bar,
        check=check,
        their_mib=their_mib,
        note=part,
    )


def run_growth(
    row: str,
    growth: Growth,
    *,
    rounds: int,
    alone: Callable[[str], Alone],
    tell: Callable[[str], None],
) -> list[Grown]:
    """Return a line for each size, each done in a process of its own; arguments as above."""
    seconds, mib = [], []
    for size in growth.sizes:
        runs = []
        for number in range(rounds):
            tell(f"{row}: {growth.axis} = {size:,}, {number + 1} of {rounds}")
            runs.append(alone(str(size)))
        seconds.append(min(run.seconds for run in runs))
        mib.append(max(run.mib for run in runs))
    time_exponent, memory_exponent = (exponent(growth.sizes, of) for of in (seconds, mib))
    return [
        Grown(row, growth.what, growth.axis, size, spent, peak, time_exponent, memory_exponent,
              growth.bar)
        for size, spent, peak in zip(growth.sizes, seconds, mib, strict=True)
    ]  # fmt: skip


def timed(work: Work, number: int, clock: Callable[[], float]) -> tuple[float, Any]:
    """Do the work once; return the seconds, and its result."""
    gc.collect()
    start = clock()
    result = work(number)
    return clock() - start, result
