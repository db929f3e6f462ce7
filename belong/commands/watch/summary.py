"""What a stream says, for a terminal."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from belong.commands.watch.martingale import Drift
from belong.commands.watch.stream_analysis import StreamAnalysis
from belong.prediction.prediction_files import UNREADABLE
from belong.runtime.text import counted, printable

SHOWN = 10  # classes


def text(seen: StreamAnalysis, paths: Sequence[str], rejected: np.ndarray) -> str:
    """Return some lines; `paths` and `rejected` (n,) are of the images in the order of time."""
    low, high = seen.expected
    share = seen.rejected / seen.images
    lines = [
        f"{counted(seen.images, 'image')}, {seen.rejected:,} rejected ({share:.2%}); {low:.2%} to "
        f"{high:.2%} is to be expected (of 19 in 20 streams, at a single look)",
        _verdict(seen, paths, rejected, is_outside=not low <= share <= high),
        f"highest evidence {_power(seen.evidence.max())}; the alarm is at {_power(seen.limit)}, of "
        f"a class at {_power(seen.class_limit)}",
        "",
        "class: images, rejected, highest evidence against its own past",
    ]
    for name, own in seen.classes.head(SHOWN).iterrows():
        drift = seen.class_drifts.get(str(name))
        lines.append(
            f"  {name}: {own['images']:,.0f}, {own['rejected'] / own['images']:.2%}, "
            f"{_power(own['evidence'])}{'; drifts ' + _when(drift, paths) if drift else ''}"
        )
    more = len(seen.classes) - SHOWN
    return "\n".join([*lines, *([f"  and {more:,} more"] if more > 0 else [])])


def left_out(unreadable: Sequence[tuple[str, str]], out: Path | None) -> str:
    """Return a line on files that are no part of the stream; `out` has the list of them, if any."""
    path, reason = unreadable[0]
    listed = f"; {printable(out / UNREADABLE)} lists them" if out else ""
    return (
        f"left out: {counted(len(unreadable), 'file')} that cannot be read, the first: {path} "
        f"({reason}){listed}"
    )


def _verdict(
    seen: StreamAnalysis, paths: Sequence[str], rejected: np.ndarray, *, is_outside: bool
) -> str:
    if seen.drift is not None:
        since = rejected[seen.drift.begun : seen.drift.noticed + 1].mean()
        return f"The rate has left its band: {since:.2%} {_when(seen.drift, paths)}."
    if seen.class_drifts:
        return (
            f"The rate is within its band, but not of each class: {', '.join(seen.class_drifts)}."
        )
    if is_outside:
        return "Outside at this one look, as 1 in 20 good streams is; no alarm, for it may be luck."
    return "Within its band."


def _power(exponent: float) -> str:
    return f"10^{round(exponent, 1) + 0.0:.1f}"  # -0.0 + 0.0 is 0.0


def _when(drift: Drift, paths: Sequence[str]) -> str:
    return (
        f"since about image {drift.begun + 1:,} ({paths[drift.begun]}), noticed at image "
        f"{drift.noticed + 1:,} ({paths[drift.noticed]})"
    )
