"""Compare each published row with ours, at its class balance."""

import math
from collections.abc import Mapping

import pandas as pd

from belong.runtime.text import table
from reproduction.paper.class_balance import Balance, balance_of, known_balances
from reproduction.paper.consistency_checks import row_name
from reproduction.paper.published import title
from reproduction.paper.seed_statistics import by_seed, mean_and_sd

# (pair, detector, lambda) -> the balance that a published F1 was measured at.
Balances = Mapping[tuple[str, str, float], Balance | None]


def balances_of(published: pd.DataFrame, grid: pd.DataFrame) -> Balances:
    """Return (pair, detector, lambda) -> the balance that a published F1 was measured at."""
    balances = {}
    for row in published.to_dict("records"):
        cells = grid[grid["pair"] == row["pair"]]
        counts = cells[["data.normal_test", "data.anomaly_test"]].to_numpy()
        test_counts = (int(counts[0][0]), int(counts[0][1])) if len(counts) else None
        balance = balance_of(row["share"], known_balances(test_counts))
        balances[str(row["pair"]), str(row["detector"]), float(row["lambda"])] = balance
    return balances


def beside_ours(grid: pd.DataFrame, published: pd.DataFrame, balances: Balances) -> str:
    """Return each published row beside ours."""
    ran = set(grid["pair"])
    rows = []
    for row in published.to_dict("records"):
        pair, detector, lambda_ = str(row["pair"]), str(row["detector"]), float(row["lambda"])
        balance = balances[pair, detector, lambda_]
        prefix = f"detectors.{detector}"
        cells = [title(pair), f"`{detector}`", f"{lambda_:g}", f"{row['auroc']:.4f}"]
        if pair not in ran:
            auroc, f1 = "not run", "not run"
        else:
            auroc = mean_and_sd(by_seed(grid, pair, lambda_, f"{prefix}.auroc"))
            f1 = "not comparable"
            if balance is not None:
                reject, accept = (
                    by_seed(grid, pair, lambda_, f"{prefix}.false_{kind}")
                    for kind in ("reject", "accept")
                )
                f1 = mean_and_sd(balance.f1(reject, accept))
        label = f"{balance}" if balance else f"unknown: {row['share']:.0%} positives"
        floor = f"{balance.floor:.4f}" if balance else "-"
        rows.append([*cells, auroc, f"{row['f1']:.4f}", f1, label, floor])
    headings = ["pair", "detector", "lambda", "AUROC, published", "ours", "F1, published", "ours",
                "our F1 is that of", "floor"]  # fmt: skip
    return "\n".join(
        [
            "AUROC is the column to compare, as it depends on no threshold and no class balance. "
            "Our F1 combines our rates of false rejects and false accepts at the balance implied "
            "by the published row (next part): which class is positive, and the ratio of normal "
            "images to anomalies. The floor is the F1 of predicting every image as positive.",
            "",
            table(headings, rows, left=2),
            "",
            _apart(grid, published),
            "",
            _thresholds(grid),
        ]
    )


def _apart(grid: pd.DataFrame, published: pd.DataFrame) -> str:
    """Compare our AUROC with the published one over all rows."""
    lines = []
    for detector, rows in published.groupby("detector", sort=False):
        apart = {
            row_name(row): by_seed(
                grid, row["pair"], row["lambda"], f"detectors.{detector}.auroc"
            ).mean()
            - row["auroc"]
            for _, row in rows.iterrows()
        }
        ours = {name: value for name, value in apart.items() if not math.isnan(value)}
        if ours:
            above = sum(value > 0 for value in ours.values())
            farthest = max(ours, key=lambda name: abs(ours[name]))
            lines.append(
                f"The mean AUROC of our `{detector}` is above the published one in {above} of the "
                f"{len(ours)} rows that we ran; the largest difference is that of {farthest} "
                f"({ours[farthest]:+.4f})."
            )
    return " ".join(lines)


def _thresholds(grid: pd.DataFrame) -> str:
    """Describe the differences between the thresholds, and between the scores of the ROC curves."""
    alpha = float(grid["calibration.alpha"].iloc[0])
    best, rare = (Balance(kind, 10, 1).f1(alpha, 0.0) for kind in ("normal", "anomaly"))
    lines = [
        f"The thresholds differ, too. Ours rejects {alpha:.1%} of normal images for every "
        "detector, calibrated on held-out images. The paper uses the 97.5th percentile of the "
        "training images for `mahalanobis`, and does not state the threshold of the supervised "
        f"head. With {alpha:.1%} false rejects and no false accepts, F1 with normal images as "
        f"positives is 2 · {1 - alpha:.3f} / (2 · {1 - alpha:.3f} + {alpha:.3f}) = {best:.4f} at "
        "every balance; with anomalies as positives, at 10 : 1, it is 2 / (2 + 10 · "
        f"{alpha:.3f}) = {rare:.4f}. On average our rule cannot exceed these values; a higher "
        "published F1 has another threshold."
    ]
    paper = grid["calibration.false_reject_training"].dropna()
    if len(paper):
        lines.append(
            "This differs from the paper: the 97.5th percentile of a class accepts at least 97.5% "
            "of its training images, but guarantees nothing for fresh images. In our cells it "
            f"rejects {paper.min():.1%} to {paper.max():.1%} of fresh images "
            "(`calibration.false_reject_training`)."
        )
    if "detectors.mahalanobis_min.auroc" in grid:
        apart = grid["detectors.mahalanobis_min.auroc"] - grid["detectors.mahalanobis.auroc"]
        lines.append(
            "The paper draws its ROC curves with one threshold for the distances to all classes, "
            "our `mahalanobis_min`. The difference of its AUROC to that of `mahalanobis` is "
            f"between {apart.min():+.4f} and {apart.max():+.4f} in all cells."
        )
    return "\n".join(lines)
