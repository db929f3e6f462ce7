"""Put all that the page shows into its template.

Names of classes, folders and detectors come from the user: the template escapes every value, and
what the script reads is JSON without a `<`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from belong.reporting.palette import lines
from belong.reporting.report.auroc_matrix import Matrix
from belong.reporting.report.examples import Card, Showcase
from belong.reporting.report.scoreboard import COLUMNS, Row, reasons

ROLES = {
    "normal_train": "fit the network, the autoencoder and the detectors",
    "normal_calibration": "held out of all fitting; they set the thresholds",
    "normal_test": "measure: how many are rejected, and are they classified right",
    "anomaly_head": "train the supervised head, and nothing else",
    "anomaly_test": "measure: how many are accepted",
    "left_out_test": "measure too: classes of the normal data set that nothing else is made of",
    "unseen_test": "measure too: another data set, which nothing was trained with",
    "dropped": "left out, for the same image is in another part; the manifest says which",
}
DASHES = {"-": "", "--": "7 4", ":": "2 3"}  # matplotlib's styles of a line, in SVG


@dataclass(frozen=True)
class StageTime:
    """The last run of a stage; None where there is no record of one."""

    name: str
    does: str
    seconds: float | None
    peak_mib: float | None


@dataclass(frozen=True)
class Contents:
    """All that the page shows, in its order.

    Attributes:
        title: which pair.
        facts: label -> value, what was run.
        parts: part -> number of images, as in metrics.json.
        board: the scoreboard.
        charts: detector -> the curves of `belong.reporting.report.curves`.
        alpha: the promised share of false rejects.
        matrix: each detector on each set of anomalies.
        showcases: detector -> the images that it singles out.
        best_rebuilt: the normal images with the lowest reconstruction error.
        pictures: PART/ROW -> data URI, for each image on a card.
        times: the stages, in the order of dvc.yaml.
        parameters: dotted key -> value.
        versions: Python and the packages.
        machine: where the page was made.
    """

    title: str
    facts: Mapping[str, str]
    parts: Mapping[str, int]
    board: Sequence[Row]
    charts: Mapping[str, Any]
    alpha: float
    matrix: Matrix
    showcases: Mapping[str, Showcase]
    best_rebuilt: Sequence[Card]
    pictures: Mapping[str, str]
    times: Sequence[StageTime]
    parameters: Mapping[str, Any]
    versions: Mapping[str, str]
    machine: Mapping[str, str]


def render(contents: Contents) -> str:
    """Return the page: HTML that needs no other file and no network."""
    environment = Environment(
        loader=PackageLoader("belong.reporting.report", "."),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = short
    # Those that were measured; the scoreboard also says which are missing, and why.
    ranked = [row.name for row in contents.board if row.name in contents.charts]
    turns = {
        name: {"color": color, "dash": DASHES[style]}
        for name, (color, style) in lines(ranked).items()
    }
    return environment.get_template("page.html").render(
        vars(contents),
        columns=COLUMNS,
        roles=ROLES,
        ranked=ranked,
        lines=turns,
        reasons=reasons(list(contents.board)),
        has_anomalies=any(chart["pr"] for chart in contents.charts.values()),
        data={"charts": contents.charts, "lines": turns, "alpha": contents.alpha},
    )


def short(number: float) -> str:
    """Return a score with three digits, or with as many as stand before the point."""
    if abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.1e}" if 0 < abs(number) < 0.001 else f"{number:.3g}"
