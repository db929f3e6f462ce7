"""Define a row of the table: the same task, by us and by peers.

Others are called peers. A time counts only if the results agree; how far they may differ is part
of the row.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OURS = "belong"


# The work of one round: takes the number of the round, returns the result to compare.
Work = Callable[[int], Any]


@dataclass(frozen=True)
class Setting:
    """The settings of a run, given to every row.

    Attributes:
        quick: tiny sizes, to check that everything works; the times then mean nothing.
        threads: that we and every peer compute with.
        folder: where a row may keep files.
    """

    quick: bool
    threads: int
    folder: Path

    def size(self, full: int, tiny: int) -> int:
        """Return how many, `full` or, in a quick run, `tiny`."""
        return tiny if self.quick else full


@dataclass(frozen=True)
class Check:
    """The difference between two results, and its tolerance.

    Attributes:
        what: the difference, in words.
        difference: at least 0.
        tolerance: the largest difference that counts as equal.
    """

    what: str
    difference: float
    tolerance: float

    @property
    def agrees(self) -> bool:
        """Whether the results are the same; never if the difference is not a number."""
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Peer:
    """Another program that does the same work.

    Attributes:
        work: does it.
        check: (our results, its results), one for each round -> whether they agree.
        part: the share of the work that it does; its time is taken as `part` of the whole. For
            loops that would take minutes, and whose time is proportional to their length.
        bar: the ratio, our time over its time, that we want to stay below.
        package: that has to be installed for it, by the name that Python imports.
    """

    work: Work
    check: Callable[[Sequence[Any], Sequence[Any]], Check]
    part: float = 1.0
    bar: float | None = None
    package: str | None = None

    @property
    def is_here(self) -> bool:
        """Whether its package is installed."""
        return self.package is None or importlib.util.find_spec(self.package) is not None


@dataclass(frozen=True)
class Limit:
    """The limit that the machine sets.

    Attributes:
        what: in words.
        seconds: measures, now, the time that the work takes at best.
        bar: the share of the limit's speed that we want to reach.
    """

    what: str
    seconds: Callable[[], float]
    bar: float | None = None


@dataclass(frozen=True)
class Race:
    """The same work, ready to be done by us and by peers in turns.

    Attributes:
        what: the work, in words, with its size.
        ours: does the work with `belong`.
        peers: name -> another program that does it.
        also: other work of ours, by what it is; set beside the same peers, in the same rounds.
        limit: the fastest time that the machine allows for `ours`.
        sample: result -> the part that is kept for the check; taken after the clock stops.
        parts: name -> what of our work can be done by itself; `benchmarks.profile` times it.
    """

    what: str
    ours: Work
    peers: Mapping[str, Peer] = field(default_factory=dict)
    also: Mapping[str, Work] = field(default_factory=dict)
    limit: Limit | None = None
    sample: Callable[[Any], Any] = lambda result: result
    parts: Mapping[str, Callable[[], object]] = field(default_factory=dict)


@dataclass(frozen=True)
class Growth:
    """One work of ours at several sizes: how time and memory grow.

    Attributes:
        what: the work, in words.
        axis: the letter of what grows.
        sizes: ascending.
        work: size -> does the work once. What it prepares before it returns is not timed.
        bar: the exponent that we want to stay below.
    """

    what: str
    axis: str
    sizes: Sequence[int]
    work: Callable[[int], Callable[[], Any]]
    bar: float | None = None


Prepare = Callable[[Setting], Race | Growth]
