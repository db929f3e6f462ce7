"""Format the result of `belong watch` for a terminal."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from belong.commands.watch.class_mix import ClassMix
from belong.commands.watch.martingale import Drift
from belong.commands.watch.stream_analysis import StreamAnalysis
from belong.prediction.prediction_files import UNREADABLE
from belong.runtime.text import counted, percent, printable

SHOWN = 10  # maximum number of classes in the text
TENTH = 0.1
UNUSUAL = 0.01  # p-value of the class mix at which it is reported as another mix


def text(
    analysis: StreamAnalysis, paths: Sequence[str], rejected: np.ndarray, p_values: np.ndarray
) -> str:
    """Format the analysis in several lines.

    `paths`, `rejected` (n,) and `p_values` (n,) are in the order of time.
    """
    low, high = analysis.expected
    share = rejected.mean()
    lines = [
        f"{counted(len(paths), 'image')}, {rejected.sum():,} rejected ({percent(share, 3)}); "
        f"expected range: {percent(low, 3)} to {percent(high, 3)} (for 19 of 20 streams "
        "without drift, if checked once)",
        _verdict(analysis, paths, rejected, is_outside=not low <= share <= high),
        f"evidence of a drift: at most {_power(analysis.evidence.max())}; alarm at "
        f"{_power(analysis.limit)}, for a class at {_power(analysis.class_limit)}",
        f"scores: {_law(analysis)}; "
        f"median p-value {np.median(p_values):.2g} (usual: 0.5), below 0.1 "
        f"{percent((p_values <= TENTH).mean())} (usual: 10%)",
        "",
        "class: images, rejected, evidence of a drift",
    ]
    for name, row in analysis.classes.head(SHOWN).iterrows():
        drift = analysis.class_drifts.get(str(name))
        lines.append(
            f"  {name}: {row['images']:,.0f}, {percent(row['rejected'] / row['images'], 3)}, "
            f"{_power(row['evidence'])}{'; drifts ' + _when(drift, paths) if drift else ''}"
        )
    more = len(analysis.classes) - SHOWN
    return "\n".join([*lines, *([f"  and {more:,} more"] if more > 0 else [])])


def of_mix(mix: ClassMix) -> str:
    """Describe the mix of the predicted classes in one line."""
    shares = f"{percent(mix.share)} are {printable(mix.name)}, usual: {percent(mix.usual)}"
    if mix.p_value > UNUSUAL:
        return f"classes: the usual mix ({shares})"
    return (
        f"classes: another mix: {shares}; expected by chance in 1 of {1 / mix.p_value:,.0f} looks; "
        f"no alarm, as it breaks no promise"
    )


def left_out(unreadable: Sequence[tuple[str, str]], out: Path | None) -> str:
    """Describe the unreadable files in one line; `out` is the folder with their list, or None."""
    path, reason = unreadable[0]
    hint = f"; {printable(out / UNREADABLE)} lists them" if out else ""
    return (
        f"skipped: {counted(len(unreadable), 'unreadable file')}, the first: {path} "
        f"({reason}){hint}"
    )


def _verdict(
    analysis: StreamAnalysis, paths: Sequence[str], rejected: np.ndarray, *, is_outside: bool
) -> str:
    if analysis.drift is not None:
        since = rejected[analysis.drift.begun : analysis.drift.noticed + 1].mean()
        when = _when(analysis.drift, paths)
        return f"The rate has drifted: {percent(since, 3)} of the images are rejected {when}."
    if analysis.law_drift is not None:
        share = f"about {percent(analysis.foreign_share)} of these images"
        return (
            f"The rate may be chance, but the scores are higher than those of the calibration "
            f"images {_when(analysis.law_drift, paths)}; at least {share} are unlike them."
        )
    if analysis.class_drifts:
        return f"The rate has not drifted, but classes have: {', '.join(analysis.class_drifts)}."
    if is_outside:
        return (
            "No alarm: at this one look the rate is outside its expected range, as in 1 of 20 good "
            "streams, which may be chance."
        )
    return "No alarm: the rate is within its expected range."


def _law(analysis: StreamAnalysis) -> str:
    if analysis.law_limit is None:
        return "not tested, as the training images calibrate this model"
    return f"evidence {_power(analysis.law_evidence.max())}, alarm at {_power(analysis.law_limit)}"


def _power(exponent: float) -> str:
    return f"10^{round(exponent, 1) + 0.0:.1f}"  # -0.0 + 0.0 is 0.0


def _when(drift: Drift, paths: Sequence[str]) -> str:
    return (
        f"since about image {drift.begun + 1:,} ({paths[drift.begun]}), noticed at image "
        f"{drift.noticed + 1:,} ({paths[drift.noticed]})"
    )
