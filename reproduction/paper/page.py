"""Write `reports/paper/README.md`: the results of paper A and ours.

Every figure and every verdict in it is worked out from the tables; only what a number means is
written by hand.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from belong.runtime.text import counted, table
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
    CELL,
    ROUNDING,
    Comparison,
    mean_and_sd,
    missing_cells,
    widening,
)
from reproduction.paper.sweep_text import in_words


def page(
    grid: pd.DataFrame,
    published: pd.DataFrame,
    sets: pd.DataFrame,
    states: pd.DataFrame,
    figures: Mapping[str, str],
) -> str:
    """Return the page.

    Args:
        grid: a row for each cell.
        published: the checked rows.
        sets: a row for each detector and set of anomalies of some cells.
        states: a row for each cell: why it has no result, and how it was confirmed.
        figures: file name -> caption, of the figures that were drawn.
    """
    lambdas = sorted(published["lambda"].unique())
    balances = balances_of(published, grid)
    tested = claims(grid, lambdas, sets)
    parts = [
        "# Reproduction of paper A",
        "",
        _result(tested),
        "",
        "Written by the stage `paper`. Every number and every verdict is computed from "
        "[grid.csv](grid.csv), [anomaly_sets.csv](anomaly_sets.csv) and "
        "[published.csv](published.csv).",
        "",
        _cells(grid, published, states),
        "",
        "## Claims of the paper",
        "",
        _claims(tested),
        "",
        "## Published rows",
        "",
        beside_ours(grid, published, balances),
        "",
        "Why the published Mahalanobis distance finds more than ours: [a study of training recipes]"
        "(../normalized/README.md) shows how much the optimizer, the epochs and other choices that "
        "the paper does not name explain.",
        "",
        "## Consistency of the published numbers",
        "",
        caveats(published, balances),
        "",
        "## Choice of lambda",
        "",
        _lambdas(grid),
        "",
        "## Combined detector",
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


def _result(claim_list: Sequence[Claim]) -> str:
    """Return the number of claims with each verdict."""
    counts = _counts(claim_list)
    return (
        f"**Result.** Of {len(claim_list)} claims of the paper, {counts[CONFIRMED]} are confirmed, "
        f"{counts[NOT_CONFIRMED]} are not confirmed, and {counts[NOT_TESTABLE]} cannot be tested "
        "here. [The table](#claims-of-the-paper) has the verdict on each, with its evidence."
    )


def _counts(claim_list: Sequence[Claim]) -> dict[str, int]:
    return {
        verdict: sum(claim.verdict == verdict for claim in claim_list)
        for verdict in (CONFIRMED, NOT_CONFIRMED, NOT_TESTABLE)
    }


def _cells(grid: pd.DataFrame, published: pd.DataFrame, states: pd.DataFrame) -> str:
    """Say which cells there are, which are missing, and which have failed."""
    rows = []
    for pair in in_order(grid["pair"].unique()):
        cells = grid[grid["pair"] == pair]
        lambdas = ", ".join(f"{one:g}" for one in sorted(cells["lambda"].unique()))
        seeds = ", ".join(str(seed) for seed in sorted(cells["seed"].unique()))
        rows.append([title(pair), lambdas, seeds, str(len(cells))])
    lines = [table(["pair", "lambdas", "seeds", "cells"], rows, left=3), ""]
    not_run = [pair for pair in published["pair"].unique() if pair not in set(grid["pair"])]
    if not_run:
        lines.append(f"- Not run: {', '.join(map(title, not_run))}.")
    if set(not_run) & set(IMAGENET):
        lines.append(
            "- These pairs are replaced by [three parts of the classes of CIFAR-10]"
            "(../photos/README.md), with other photos and another network."
        )
    failures = states.dropna(subset="failure")[[*CELL, "failure"]]
    reasons = {tuple(cell): reason for *cell, reason in failures.itertuples(index=False)}
    if missing := [_name(*cell) for cell in missing_cells(grid) if cell not in reasons]:
        lines.append(f"- Missing cells: {'; '.join(missing)}.")
    for cell, reason in reasons.items():
        lines.append(f"- No result: {_name(*cell)}: {_without_remedies(reason)}.")
    for note, cells in states.dropna(subset="confirmed").groupby("confirmed"):
        lines.append(
            f"- {counted(len(cells), 'cell')} come from an earlier version of the code. A random "
            f"sample was run again with later code and gave the same numbers: {note}."
        )
    lines.append(
        "- Our results are means ± standard deviations over seeds, with the number of seeds in "
        "parentheses."
    )
    return "\n".join(lines)


def _name(pair: str, weight: float, seed: int) -> str:
    return f"{title(pair)}, lambda {weight:g}, seed {seed}"


def _without_remedies(failure: str) -> str:
    """Return the message of a failed training without the stage's name and the remedies."""
    return failure.removeprefix("train: ").partition("; remedies")[0]


def _claims(claim_list: Sequence[Claim]) -> str:
    """Return the table of verdicts, and the differences behind each."""
    counts = _counts(claim_list)
    rows = [
        [str(number), claim.text, claim.where, f"**{claim.verdict}**", claim.evidence]
        for number, claim in enumerate(claim_list, start=1)
    ]
    lines = [
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
        + ", on the pairs above.",
        "",
        table(["", "claim", "where", "verdict", "evidence"], rows, left=5),
        "",
        "How claims are tested: a claim is expressed as differences that must all be above zero. "
        "Differences are paired by seed, as the same seed gives both sides the same parts and "
        "initial weights; only comparisons between two pairs of data sets are unpaired. Each "
        "difference has a 95% interval of Student's t, widened by "
        f"{ROUNDING:.4f} on each side for the rounding to four decimals. A claim is confirmed if "
        "every interval is above zero, not confirmed if a computed interval is not, and not "
        "testable here if too few seeds have both sides. As all differences must pass, testing "
        "many of them does not make a false confirmation more likely. If a side was selected as "
        "the best of several lambdas, or as the worst set of anomalies of a detector, its interval "
        f"is widened accordingly (Bonferroni). {_few(claim_list)} Seeds vary the training, not the "
        "test images.",
        "",
        "Claims on the F1 of detection are tested with FPR95, the share of anomalies accepted when "
        "95% of normal images are accepted: at a fixed share of accepted normal images, F1 and "
        "accuracy rise exactly as the share of accepted anomalies falls. F1 at our threshold, "
        "which rejects a fixed share, would measure the accuracy of this share more than the "
        "detector.",
        "",
        "<details><summary>All differences</summary>",
        "",
        table(
            ["claim", "difference", "mean", "95% interval", "n", "above zero"],
            [
                [str(number), *_difference(comparison)]
                for number, claim in enumerate(claim_list, start=1)
                for comparison in claim.comparisons
            ],
            left=2,
        ),
        "",
        "</details>",
    ]
    return "\n".join(lines)


def _few(claim_list: Sequence[Claim]) -> str:
    """Return a sentence on the number of seeds."""
    most = max((one.n for claim in claim_list for one in claim.comparisons), default=0)
    if most < 2:
        return "There is only one seed, so nothing can be tested."
    return (
        f"n is at most {most}, which is small: an interval extends {widening(most - 1):.1f} "
        "standard errors to each side, so a small effect stays unconfirmed."
    )


def _difference(one: Comparison) -> list[str]:
    if one.holds is None:
        return [one.what, f"{one.mean:+.4f}" if one.n else "-", "-", str(one.n), "-"]
    low, high = one.interval
    interval = f"{low:+.4f} to {high:+.4f}"
    return [one.what, f"{one.mean:+.4f}", interval, str(one.n), "yes" if one.holds else "no"]


def _lambdas(grid: pd.DataFrame) -> str:
    """Return the best lambda of each detector, and the lambda from which accuracy falls."""
    lines = [
        "These lambdas were selected on the test images: the reported AUROC is also the criterion "
        "of the selection, and the lambda of params.yaml was chosen from such numbers. The paper "
        "does the same: it selects lambda by the F1 on its test sets, and mentions no held-out "
        "images. An unbiased choice would need separate anomalies. The gain is paired by seed, and "
        "its interval is widened for the selection.",
    ]
    for pair in in_order(grid["pair"].unique()):
        rows = []
        for row in best_lambdas(grid, pair).itertuples(index=False):
            name, best, at_best, at_zero, gain = row
            _, mean, interval, _, clear = _difference(gain)
            cells = [mean, interval, clear] if best else ["-", "-", "-"]
            rows.append(
                [f"`{name}`", f"{best:g}", mean_and_sd(at_best), mean_and_sd(at_zero), *cells]
            )
        headings = ["detector", "best lambda", "AUROC there", "AUROC at 0", "gain",
                    "95% interval", "above zero"]  # fmt: skip
        lines += ["", f"### {title(pair)}", "", in_words(grid, pair), "", table(headings, rows)]
        lines += ["", _falls(grid, pair)]
    return "\n".join(lines)


def _falls(grid: pd.DataFrame, pair: str) -> str:
    """Return the accuracy at each lambda, and the lambda from which it falls."""
    changes = against_zero(grid, pair, ACCURACY)
    start = falls_from(changes)
    rows = []
    for lambda_, accuracy, change, fallen in changes.itertuples(index=False):
        _, mean, interval, _, _ = _difference(change)
        cells = [mean, interval] if lambda_ else ["-", "-"]
        answer = {True: "yes", False: "no", None: "-"}[fallen]
        rows.append([f"{lambda_:g}", mean_and_sd(accuracy), *cells, answer if lambda_ else "-"])
    if changes["fallen"].isna().all():
        sentence = "Lambda 0 has fewer than two seeds, so a fall of accuracy cannot be tested."
    elif start is None:
        sentence = "Accuracy does not fall permanently at any of these lambdas."
    else:
        sentence = f"Accuracy falls from lambda {start:g} on."
    headings = [
        "lambda",
        "accuracy",
        "difference to lambda 0",
        "95% interval",
        "lower by more than the spread",
    ]
    return "\n".join(
        [
            f"{sentence} Accuracy counts as fallen if its mean is below that at lambda 0 by more "
            "than one standard deviation over the seeds at lambda 0.",
            "",
            table(headings, rows),
        ]
    )
