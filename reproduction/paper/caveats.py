"""Describe inconsistencies of the published numbers, with the arithmetic behind them."""

import pandas as pd

from belong.runtime.text import table
from reproduction.paper.claims import listed
from reproduction.paper.class_balance import REACH, Balance
from reproduction.paper.consistency_checks import (
    mirrored,
    row_name,
    same_accuracy,
    same_auroc,
    statements,
)
from reproduction.paper.published import ROUNDING, title
from reproduction.paper.published_rows import Balances

# More than ImageNet-30 has in the test images of ten classes.
IMAGES = 10_000


def caveats(published: pd.DataFrame, balances: Balances) -> str:
    """Return the caveats as Markdown, each worked out from the rows.

    Args:
        published: the checked rows.
        balances: (pair, detector, lambda) -> at which the published F1 was measured.
    """
    parts = [
        _exchanged(published),
        _shares(published, balances),
        _floors(),
        _recall(published),
        _repeated(published),
        _text(published),
    ]
    return "\n\n".join(parts)


def _exchanged(published: pd.DataFrame) -> str:
    off = (published["f1_recomputed"] - published["f1"]).abs() > ROUNDING
    rows = [
        [
            row_name(row),
            *(f"{row[column]:.4f}" for column in ("precision", "recall", "f1", "f1_recomputed")),
            f"{2 * row['f1'] * row['recall'] / (row['f1'] + row['recall']):.4f}",
        ]
        for _, row in published[off].iterrows()
    ]
    headings = ["row", "precision", "recall", "F1", "2pr / (p + r)", "the same with F1 as p"]
    return "\n".join(
        [
            f"**F1 differs from 2pr / (p + r).** In {off.sum()} of {len(published)} rows the "
            f"difference exceeds rounding ({ROUNDING:.0e}). In "
            f"{published.loc[off, 'exchanged'].sum()} of these rows precision and F1 appear to be "
            "exchanged: with F1 as the precision, the formula gives the printed precision:",
            "",
            table(headings, rows),
        ]
    )


def _shares(published: pd.DataFrame, balances: Balances) -> str:
    rows, unknown = [], []
    known: dict[tuple[str, str], list[Balance]] = {}
    for _, group in published.groupby(["pair", "detector"], sort=False):
        pair, detector = str(group["pair"].iloc[0]), str(group["detector"].iloc[0])
        measured = pd.Series(
            [balances[pair, detector, one] for one in group["lambda"]], group.index
        )
        known[pair, detector] = [one for one in measured.unique() if one is not None]
        for balance in measured.unique():
            of_it = group[measured.isna() if balance is None else measured == balance]
            name = "unknown balance" if balance is None else str(balance)
            share = f"{of_it['share'].min():.3f} to {of_it['share'].max():.3f}"
            rows.append([title(pair), f"`{detector}`", listed(of_it["lambda"]), name, share])
        unknown += [row_name(row) for _, row in group[measured.isna()].iterrows()]
    first = published.iloc[0]
    lines = [
        "**Which class is positive, and its share.** Accuracy a, precision p and recall r "
        "determine the share of positives among the test images: "
        "s = (1 - a) / (1 - r (2 - 1 / p)). For "
        f"{row_name(first)} it is (1 - {first['accuracy']:.4f}) / (1 - {first['recall']:.4f} · "
        f"(2 - 1 / {first['precision']:.4f})) = {first['share']:.3f}. Each row is assigned to the "
        f"nearest known balance, if its share is within {REACH} of it (after correcting exchanged "
        "numbers):",
        "",
        table(
            ["pair", "detector", "lambdas", "positive, normal : anomalies", "share"], rows, left=4
        ),
        "",
    ]
    for (pair, detector), several in known.items():
        if len(several) > 1:
            changes = " and ".join(sorted(map(str, several)))
            lines.append(
                f"- {title(pair)}, `{detector}`: the balance changes with lambda ({changes}), and "
                "F1 with it."
            )
        if any(balance.positive == "anomaly" for balance in several):
            lines.append(
                f"- {title(pair)}, `{detector}`: with so few positives, either the anomalies are "
                "the positives, or the test has many anomalies per normal image. In both cases "
                "this F1 is not comparable with that of the other detector."
            )
    if unknown:
        lines.append(
            f"- In {len(unknown)} rows the three numbers fit no known test set: "
            f"{'; '.join(unknown)}."
        )
    return "\n".join(lines)


def _floors() -> str:
    balances = [Balance("normal", 1, 1), Balance("normal", 9020, 980), Balance("normal", 10, 1)]
    worked = "; ".join(
        f"{one.normal:,} : {one.anomaly:,}, 2 · {one.normal:,} / (2 · {one.normal:,} + "
        f"{one.anomaly:,}) = {one.floor:.4f}"
        for one in balances
    )
    return (
        "**F1 of accepting everything.** With normal images as the positives, a detector that "
        "accepts every image misses no normal image, and accepts every anomaly: "
        f"F1 = 2n / (2n + m) for n normal images and m anomalies. {worked}."
    )


def _recall(published: pd.DataFrame) -> str:
    recalls = {
        str(network): rows["recall"]
        for network, rows in published[published["detector"] == "mahalanobis"].groupby(
            "network", sort=False
        )
    }
    ranges = ", ".join(
        f"{recall.min():.4f} to {recall.max():.4f} in {len(recall)} rows ({network})"
        for network, recall in recalls.items()
    )
    lines = [
        "**The recall at the threshold.** The paper sets the threshold of each class at the 97.5th "
        "percentile of its distances, and accepts an image that any class accepts (eq. 4). This "
        "accepts at least 0.975 of the images that set the thresholds, but promises nothing for "
        f"fresh images. The recall of the semi-supervised rows is {ranges}."
    ]
    for network, recall in recalls.items():
        rate, apart = recall.mean(), recall.max() - recall.min()
        scatter = (rate * (1 - rate) / IMAGES) ** 0.5
        if apart < scatter:
            lines.append(
                f"With {network} this corresponds to a threshold at {rate:.0%}, with too little "
                f"scatter: on {IMAGES:,} fresh images the recall of a row would have a standard "
                f"deviation of sqrt({rate:.2f} · {1 - rate:.2f} / {IMAGES:,}) = {scatter:.4f}, but "
                f"all rows are within {apart:.4f}. The rows appear to be measured on the images "
                "that set the threshold."
            )
    return " ".join(lines)


def _repeated(published: pd.DataFrame) -> str:
    lines = ["**Repeated numbers.**"]
    for detector, one, other in same_auroc(published):
        values = published[(published["pair"] == one) & (published["detector"] == detector)][
            "auroc"
        ]
        lines.append(
            f"- AUROC of `{detector}` is the same for {title(one)} and for {title(other)} at every "
            f"lambda: {', '.join(f'{value:.4f}' for value in values)}."
        )
    for accuracy, names in same_accuracy(published):
        lines.append(f"- Accuracy {accuracy:.4f} with different F1: {'; '.join(names)}.")
    for one, other in mirrored(published):
        lines.append(
            f"- {one} and {other} have the same accuracy and F1, and each other's precision and "
            "recall."
        )
    return "\n".join(lines) if len(lines) > 1 else f"{lines[0]} None."


def _text(published: pd.DataFrame) -> str:
    checked = statements(published)
    rows = [[one.text, one.computed, "yes" if one.agrees else "**no**"] for one in checked]
    off = sum(not one.agrees for one in checked)
    return "\n".join(
        [
            f"**Text and table of the paper.** {off} of {len(checked)} statements do not agree:",
            "",
            table(["the text", "the table", "agree"], rows, left=3),
        ]
    )
