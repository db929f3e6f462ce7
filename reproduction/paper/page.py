"""Write the paper's results beside ours: the text of `reports/paper/README.md`.

Every figure and every verdict in it is worked out from the tables; only what a number means is
written by hand.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from belong.runtime.text import table
from reproduction.paper import anomaly_sets
from reproduction.paper.caveats import caveats
from reproduction.paper.claims import (
    CONFIRMED,
    IMAGENET,
    NOT_CONFIRMED,
    NOT_TESTABLE,
    Claim,
    claims,
)
from reproduction.paper.lambda_sweep import ACCURACY, against_zero, best_lambdas, falls_from
from reproduction.paper.published import in_order, title
from reproduction.paper.published_rows import balances_of, beside_ours
from reproduction.paper.seed_statistics import (
    ROUNDING,
    Comparison,
    mean_and_sd,
    missing_cells,
    widening,
)
from reproduction.paper.sweep_text import in_words


def page(
    grid: pd.DataFrame, published: pd.DataFrame, sets: pd.DataFrame, figures: Mapping[str, str]
) -> str:
    """Return the page.

    Args:
        grid: a row for each cell.
        published: the checked rows.
        sets: a row for each detector and set of anomalies of some cells.
        figures: file name -> caption, of the figures that were drawn.
    """
    lambdas = sorted(published["lambda"].unique())
    balances = balances_of(published, grid)
    parts = [
        "# Paper A's results beside ours",
        "",
        "Made by the stage `paper`; every number and every verdict is worked out from "
        "[grid.csv](grid.csv), [anomaly_sets.csv](anomaly_sets.csv) and "
        "[published.csv](published.csv), and changes with them.",
        "",
        _cells(grid, published),
        "",
        "## The claims of the paper",
        "",
        _claims(claims(grid, lambdas, sets)),
        "",
        "## The published rows",
        "",
        beside_ours(grid, published, balances),
        "",
        "Why the published Mahalanobis distance finds more than ours: [a study of training recipes]"
        "(../normalized/README.md) says how much of it the optimizer, the passes and other choices "
        "explain that the paper does not name.",
        "",
        "## What the published numbers say of themselves",
        "",
        caveats(published, balances),
        "",
        "## Which lambda",
        "",
        _lambdas(grid),
        "",
        "## Several detectors in one",
        "",
        anomaly_sets.text(sets),
        "",
        "## Figures",
        "",
        "\n\n".join(
            f"{caption}\n\n![{name.replace('_', ' ')}](figures/{name}.png)"
            for name, caption in figures.items()
        ),
        "",
    ]
    return "\n".join(parts)


def _cells(grid: pd.DataFrame, published: pd.DataFrame) -> str:
    """Say which cells there are, and which are missing."""
    rows = []
    for pair in in_order(grid["pair"].unique()):
        cells = grid[grid["pair"] == pair]
        lambdas = ", ".join(f"{one:g}" for one in sorted(cells["lambda"].unique()))
        seeds = ", ".join(str(seed) for seed in sorted(cells["seed"].unique()))
        rows.append([title(pair), lambdas, seeds, str(len(cells))])
    lines = [table(["pair", "lambdas", "seeds", "cells"], rows, left=3), ""]
    not_run = [pair for pair in published["pair"].unique() if pair not in set(grid["pair"])]
    if not_run:
        lines.append(f"Not run: {', '.join(map(title, not_run))}.")
    if set(not_run) & set(IMAGENET):
        lines.append(
            "[CIFAR-10 in three parts of classes](../photos/README.md) stands in for it: other "
            "photos, and another network."
        )
    missing = [
        f"{title(pair)}, lambda {one:g}, seed {seed}" for pair, one, seed in missing_cells(grid)
    ]
    if missing:
        lines.append(f"Missing cells: {'; '.join(missing)}.")
    lines.append(
        "Ours are given as mean ± standard deviation over seeds, with the number of seeds in "
        "brackets."
    )
    return "\n".join(lines)


def _claims(found: Sequence[Claim]) -> str:
    """Return the table of verdicts, and the differences behind each."""
    counts = {
        verdict: sum(claim.verdict == verdict for claim in found)
        for verdict in (CONFIRMED, NOT_CONFIRMED, NOT_TESTABLE)
    }
    rows = [
        [str(number), claim.text, claim.where, f"**{claim.verdict}**", claim.evidence]
        for number, claim in enumerate(found, start=1)
    ]
    lines = [
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        + ", on the pairs above.",
        "",
        table(["", "claim", "where", "verdict", "evidence"], rows, left=5),
        "",
        "The rule: a claim is put as differences that all have to be above zero. Each is paired by "
        "seed (the same seed gives both sides the same parts and first weights; only two pairs of "
        "data sets are compared without), and has a 95 % interval of Student's t, wider by "
        f"{ROUNDING:.4f} to each side, for the numbers are rounded to four decimals. A claim is "
        "confirmed if every interval is above zero, not confirmed if one that could be worked out "
        "is not, and not testable here if too few seeds have both sides. As all differences have "
        "to pass, testing many of them makes a wrong confirmation no likelier. Where a side was "
        "chosen as the best of several lambdas, or as the set of anomalies that a detector finds "
        f"worst, its interval is widened for that (Bonferroni). {_few(found)} Seeds vary the "
        "training, not the test images.",
        "",
        "What the paper says of the F1 of detection is decided by FPR95, the share of anomalies "
        "accepted where 95 % of normal images are: at a fixed share of accepted normal images, F1 "
        "and accuracy rise exactly as the accepted anomalies fall. F1 at our threshold, which is "
        "to reject a fixed share, would say more of how nearly it does than of the detector.",
        "",
        "<details><summary>All differences</summary>",
        "",
        table(
            ["claim", "difference", "mean", "95 % interval", "n", "above zero"],
            [
                [str(number), *_difference(comparison)]
                for number, claim in enumerate(found, start=1)
                for comparison in claim.comparisons
            ],
            left=2,
        ),
        "",
        "</details>",
    ]
    return "\n".join(lines)


def _few(found: Sequence[Claim]) -> str:
    """Say how few seeds there are."""
    most = max((one.n for claim in found for one in claim.comparisons), default=0)
    if most < 2:
        return "There is but one seed: nothing can be decided."
    return (
        f"n is {most} at most, which is small: an interval reaches {widening(most - 1):.1f} "
        "standard errors to either side, so that a small effect stays unconfirmed."
    )


def _difference(one: Comparison) -> list[str]:
    if one.holds is None:
        return [one.what, f"{one.mean:+.4f}" if one.n else "-", "-", str(one.n), "-"]
    low, high = one.interval
    shown = f"{low:+.4f} to {high:+.4f}"
    return [one.what, f"{one.mean:+.4f}", shown, str(one.n), "yes" if one.holds else "no"]


def _lambdas(grid: pd.DataFrame) -> str:
    """Return the best lambda of each detector, and from which one on accuracy falls."""
    lines = [
        "These lambdas were chosen with the test images in sight: the AUROC that picks the best "
        "one is that which is reported, and the lambda of params.yaml was taken from such "
        "numbers. "
        "So did the paper, which names a best lambda by the F1 of its test sets and tells of no "
        "images held out to choose it. An honest choice would need anomalies that measure nothing "
        "else. The gain is paired by seed, its interval widened for the choice.",
    ]
    for pair in in_order(grid["pair"].unique()):
        rows = []
        for row in best_lambdas(grid, pair).itertuples(index=False):
            name, best, at_best, at_zero, gain = row
            _, mean, interval, _, clear = _difference(gain)
            shown = [mean, interval, clear] if best else ["-", "-", "-"]
            rows.append(
                [f"`{name}`", f"{best:g}", mean_and_sd(at_best), mean_and_sd(at_zero), *shown]
            )
        headings = ["detector", "best lambda", "AUROC there", "AUROC at 0", "gain",
                    "95 % interval", "above zero"]  # fmt: skip
        lines += ["", f"### {title(pair)}", "", in_words(grid, pair), "", table(headings, rows)]
        lines += ["", _falls(grid, pair)]
    return "\n".join(lines)


def _falls(grid: pd.DataFrame, pair: str) -> str:
    """Return the accuracy at each lambda, and say where it begins to fall."""
    found = against_zero(grid, pair, ACCURACY)
    start = falls_from(found)
    rows = []
    for lambda_, accuracy, change, fallen in found.itertuples(index=False):
        _, mean, interval, _, _ = _difference(change)
        shown = [mean, interval] if lambda_ else ["-", "-"]
        said = {True: "yes", False: "no", None: "-"}[fallen]
        rows.append([f"{lambda_:g}", mean_and_sd(accuracy), *shown, said if lambda_ else "-"])
    if found["fallen"].isna().all():
        said = "Lambda 0 has not two seeds: whether accuracy falls cannot be said."
    elif start is None:
        said = "Accuracy falls for good at none of these lambdas."
    else:
        said = f"Accuracy falls from lambda {start:g} on."
    headings = [
        "lambda",
        "accuracy",
        "less that at 0",
        "95 % interval",
        "below by more than the spread",
    ]
    return "\n".join(
        [
            f"{said} It counts as fallen where its mean is below that at lambda 0 by more than one "
            "standard deviation over the seeds there.",
            "",
            table(headings, rows),
        ]
    )
