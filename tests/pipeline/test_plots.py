"""The ROC chart of `dvc plots show`, by the template that draws it."""

import json
from pathlib import Path
from typing import Any

import vl_convert
from ruamel.yaml import YAML

from tests.imports import ROOT

TEMPLATE = ROOT / ".dvc" / "plots" / "roc.json"
ROC = next(
    spec
    for chart in YAML(typ="safe").load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["plots"]
    for spec in chart.values()
    if spec["template"] == "roc"
)
NAMES = [Path(path).stem for path in ROC["y"]]


def chart() -> dict[str, Any]:
    """Return the template filled with a curve for each detector, the last one the best."""
    rows = [
        {"rev": "workspace", "filename": f"{name}.csv", "rate": x, "accepted": x ** (1 / (2 + i))}
        for i, name in enumerate(NAMES)
        for x in (0, 0.0001, 0.001, 0.01, 0.1, 1)
    ]
    text = TEMPLATE.read_text(encoding="utf-8")
    for anchor, value in {
        "X": "rate",
        "Y": "accepted",
        "TITLE": "ROC",
        "X_LABEL": "a",
        "Y_LABEL": "b",
    }.items():
        text = text.replace(f"<DVC_METRIC_{anchor}>", value)
    filled: dict[str, Any] = json.loads(text.replace('"<DVC_METRIC_DATA>"', json.dumps(rows)))
    return filled


def test_the_roc_chart_has_a_logarithmic_axis_from_the_least_rate_to_1() -> None:
    vega = vl_convert.vegalite_to_vega(chart(), vl_version="5.21")
    (axis,) = [scale for scale in vega["scales"] if scale["name"] == "x"]
    assert (axis["type"], axis["domain"]) == ("log", [0.0001, 1])


def test_no_two_curves_have_the_same_color_and_dash() -> None:
    encoding = chart()["spec"]["encoding"]
    kinds = (encoding[channel]["scale"]["range"] for channel in ("color", "strokeDash"))
    pairs = [(color, tuple(dash)) for color, dash in zip(*kinds, strict=True)]
    assert len(set(pairs)) == len(pairs) >= len(NAMES)


def test_a_rate_of_0_is_drawn_at_the_left_end_and_the_legend_begins_with_the_best() -> None:
    svg = vl_convert.vegalite_to_svg(chart(), vl_version="5.21")
    assert [svg.index(f">{name}<") for name in reversed(NAMES)] == sorted(
        svg.index(f">{name}<") for name in NAMES
    )
    assert "NaN" not in svg
    assert "Infinity" not in svg
