"""The combined detector beside the best single one, on each set of anomalies."""

import pandas as pd
import pytest

from reproduction.paper.anomaly_sets import against_best_single, text

AUROCS = {
    # (detector, set) -> AUROC of seed 0 and of seed 1
    ("mlp_head", "anomaly"): (0.97, 0.99),
    ("energy", "anomaly"): (0.95, 0.95),
    ("combined", "anomaly"): (0.98, 0.99),
    ("mlp_head", "blurred"): (0.60, 0.60),
    ("energy", "blurred"): (0.90, 0.94),
    ("combined", "blurred"): (0.88, 0.90),
}


def sets(aurocs: dict[tuple[str, str], tuple[float, float]]) -> pd.DataFrame:
    return pd.DataFrame(
        {"pair": "digit-0", "lambda": 1.0, "seed": seed, "detector": detector,
         "anomalies": anomalies, "auroc": values[seed], "fpr95": 0.1}
        for (detector, anomalies), values in aurocs.items()
        for seed in (0, 1)
    )  # fmt: skip


def test_the_best_single_detector_is_chosen_for_each_set_by_its_mean() -> None:
    comparison = against_best_single(sets(AUROCS)).set_index("anomalies")
    assert comparison["best"].to_dict() == {"anomaly": "mlp_head", "blurred": "energy"}
    assert comparison["apart"]["anomaly"].mean == pytest.approx(0.005)
    assert comparison["apart"]["blurred"].mean == pytest.approx(-0.03)


def test_a_set_on_which_the_combined_detector_is_worse_is_counted_and_stands_out() -> None:
    page = text(sets(AUROCS))
    assert (
        "more than 0.01 lower in 1 of 2 rows; in 0 of these rows the best detector is `mlp_head`"
        in page
    )
    (row,) = [line for line in page.splitlines() if line.startswith("| the pair's own |")]
    assert row.split(" | ")[1:5] == [
        "`mlp_head`", "0.9800 ± 0.0141 (2)", "0.9850 ± 0.0071 (2)", "+0.0050",
    ]  # fmt: skip
    assert "| blurred | `energy` |" in page
    assert "**-0.0300**" in page


def test_without_the_combined_detector_nothing_is_set_beside_it() -> None:
    singles = {key: values for key, values in AUROCS.items() if key[0] != "combined"}
    assert text(sets(singles)) == "No cell has the combined detector on several sets of anomalies."
