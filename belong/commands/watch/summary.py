"""Format the result of `belong watch` for a terminal."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from belong.commands.watch.class_mix import ClassMix
from belong.commands.watch.martingale import Drift
from belong.commands.watch.stream_analysis import StreamAnalysis
from belong.prediction.prediction_files import UNREADABLE
from belong.runtime.text import counted, printable

SHOWN = 10  # classes
TENTH = 0.1
UNUSUAL = 0.01  # of the class mix


def text(
    seen: StreamAnalysis, paths: Sequence[str], rejected: np.ndarray, p_values: np.ndarray
) -> str:
    """Return some lines; `paths`, `rejected` (n,) and `p_values` (n,) are in the order of time."""
    low, high = seen.expected
    share = rejected.mean()
    lines = [
        f"{counted(len(paths), 'image')}, {rejected.sum():,} rejected ({share:.2%}); expected "
        f"range: {low:.2%} to {high:.2%} (of 19 in 20 streams, at a single look)",
        _verdict(seen, paths, rejected, is_outside=not low <= share <= high),
        f"highest evidence {_power(seen.evidence.max())}; alarm at {_power(seen.limit)}, for a "
        f"class at {_power(seen.class_limit)}",
        f"scores: {_law(seen)}; median p-value {np.median(p_values):.2g} (usual: 0.5), below 0.1 "
        f"{(p_values <= TENTH).mean():.0%} (usual: 10 %)",
        "",
        "class: images, rejected, highest evidence against its own past",
    ]
    for name, row in seen.classes.head(SHOWN).iterrows():
        drift = seen.class_drifts.get(str(name))
        lines.append(
            f"  {name}: {row['images']:,.0f}, {row['rejected'] / row['images']:.2%}, "
            f"{_power(row['evidence'])}{'; drifts ' + _when(drift, paths) if drift else ''}"
        )
    more = len(seen.classes) - SHOWN
    return "\n".join([*lines, *([f"  and {more:,} more"] if more > 0 else [])])


def of_mix(mix: ClassMix) -> str:
    """Return a line on the classes of the images."""
    shares = f"{mix.share:.0%} are {printable(mix.name)}, usual: {mix.usual:.0%}"
    if mix.p_value > UNUSUAL:
        return f"classes: the usual mix ({shares})"
    return (
        f"classes: another mix: {shares}; expected by chance in 1 of {1 / mix.p_value:,.0f} looks; "
        f"no alarm, as it breaks no promise"
    )


def left_out(unreadable: Sequence[tuple[str, str]], out: Path | None) -> str:
    """Return a line on files that are no part of the stream; `out` has the list of them, if any."""
    path, reason = unreadable[0]
    listed = f"; {printable(out / UNREADABLE)} lists them" if out else ""
    return (
        f"skipped: {counted(len(unreadable), 'unreadable file')}, the first: {path} "
        f"({reason}){listed}"
    )


def _verdict(
    seen: StreamAnalysis, paths: Sequence[str], rejected: np.ndarray, *, is_outside: bool
) -> str:
    if seen.drift is not None:
        since = rejected[seen.drift.begun : seen.drift.noticed + 1].mean()
        return f"The rate has left its band: {since:.2%} {_when(seen.drift, paths)}."
    if seen.law_drift is not None:
        share = f"about {seen.foreign_share:.0%} of these images"
        return (
            f"The rate may be chance, but the scores are higher than those of the calibration "
            f"images {_when(seen.law_drift, paths)}; at least {share} are unlike them."
        )
    if seen.class_drifts:
        return f"The rate is within its band, but classes drift: {', '.join(seen.class_drifts)}."
    if is_outside:
        return "Outside at this one look, as 1 in 20 good streams; no alarm, it may be chance."
    return "Within its band."


def _law(seen: StreamAnalysis) -> str:
    if seen.law_limit is None:
        return "not tested, as the training images calibrate this model"
    return f"evidence {_power(seen.law_evidence.max())}, alarm at {_power(seen.law_limit)}"


def _power(exponent: float) -> str:
    return f"10^{round(exponent, 1) + 0.0:.1f}"  # -0.0 + 0.0 is 0.0


def _when(drift: Drift, paths: Sequence[str]) -> str:
    return (
        f"since about image {drift.begun + 1:,} ({paths[drift.begun]}), noticed at image "
        f"{drift.noticed + 1:,} ({paths[drift.noticed]})"
    )
