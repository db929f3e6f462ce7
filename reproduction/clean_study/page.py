"""Write the page of the cleaning study: planted errors found by `belong clean` and by cleanlab."""

import pandas as pd

from belong.commands.clean.options import FALSE_ALARMS
from belong.runtime.text import table

HEADINGS = [
    "photos", "foreign photos", "method", "swapped found", "foreign found", "named", "precision",
    "AUROC, swapped", "AUROC, foreign",
]  # fmt: skip
# Column -> decimals; counts are means over the draws.
NUMBERS = {"swapped_found": 1, "foreign_found": 1, "named": 1, "precision": 3,
           "swapped_auroc": 3, "foreign_auroc": 3}  # fmt: skip
OF = ["photos", "foreign_kind", "method"]
OURS = "belong"


def page(rows: pd.DataFrame) -> str:
    """Return the page.

    Args:
        rows: one for each draw and method: `photos`, `foreign_kind`, `seed`, `images`, `swapped`
            and `foreign` (planted), `accuracy` (out of fold), `method`, `swapped_found`,
            `foreign_found`, `named`, `precision`, `swapped_auroc`, `foreign_auroc`, `cpu_seconds`.
    """
    lines = [
        [*map(str, key), *(_spread(group[name], n) for name, n in NUMBERS.items())]
        for key, group in rows.groupby(OF, sort=False)
    ]
    first = rows.iloc[0]
    ours = rows[rows["method"] == OURS]
    accuracy = ", ".join(
        f"{name} {_spread(group['accuracy'], 3)}"
        for name, group in ours.drop_duplicates(["photos", "seed"]).groupby("photos", sort=False)
    )
    return "\n".join(
        [
            "# Planted errors found by `belong clean`",
            "",
            _result(rows),
            "",
            f"In folders of {first['images'] - first['foreign']:,} photos, {first['swapped']} "
            f"labels were swapped, and {first['foreign']} foreign photos were added with random "
            "labels. Each seed draws different photos. `belong clean` uses its defaults: vectors "
            "of efficientnet_lite0 and five folds. A photo counts as named if it is quarantined as "
            "mislabeled or foreign. cleanlab 2.9 gets the same out-of-fold probabilities and the "
            "same vectors: labels by confident learning, outliers by the mean distance to 10 "
            "neighbors with the limit of Datalab. A constant of the rule for foreign photos was "
            "raised after a look at draws 0 to 2 of groceries; the draws from 3 on are blind. "
            "Numbers are means ± standard deviations over the draws, (n).",
            "",
            table(HEADINGS, lines, left=3),
            "",
            kept(rows),
            "",
            "The original labels count as correct, and were not checked. Some of the false alarms "
            f"may be real errors. Out-of-fold accuracy with the original labels: {accuracy}.",
            "",
            "`python -m reproduction.clean_study.study` repeats the study; cleaning.csv has each "
            "draw.",
            "",
        ]
    )


def _result(rows: pd.DataFrame) -> str:
    """Return what both methods find, as ranges of the means over the kinds of photos."""
    is_ours = rows["method"] == OURS

    def ranged(name: str, decimals: int) -> str:
        ours, peer = (
            group.groupby(OF, sort=False)[name].mean().agg(["min", "max"]).tolist()
            for group in (rows[is_ours], rows[~is_ours])
        )
        return (
            f"{ours[0]:.{decimals}f} to {ours[1]:.{decimals}f} "
            f"(cleanlab: {peer[0]:.{decimals}f} to {peer[1]:.{decimals}f})"
        )

    first = rows.iloc[0]
    return (
        f"**Result.** Of {first['swapped']} swapped labels `belong clean` finds "
        f"{ranged('swapped_found', 0)} on average, and of {first['foreign']} foreign photos "
        f"{ranged('foreign_found', 0)}. Of the photos that it names, the share of errors is "
        f"{ranged('precision', 2)}."
    )


def kept(rows: pd.DataFrame) -> str:
    """Compare the measured share of false alarms with the configured one."""
    ours = rows[rows["method"] == OURS]
    alarms = 1 - ours["precision"]
    return (
        f"The configured share of false alarms is at most {FALSE_ALARMS} on average. Measured: "
        f"{_spread(alarms, 2)}, and {alarms.max():.2f} in the worst draw."
    )


def summary(rows: pd.DataFrame) -> str:
    """Return the table of docs/commands/clean.md, below a sentence."""
    lines = []
    for (photos, kind), group in rows.groupby(OF[:2], sort=False):
        ours, peer = (
            group[is_ours] for is_ours in (group["method"] == OURS, group["method"] != OURS)
        )
        for name, one in (("`belong clean`", ours), ("cleanlab", peer)):
            results = (
                _spread(one["swapped_found"], 1),
                _spread(one["foreign_found"], 1),
                _spread(one["precision"], 2),
            )
            lines.append([f"{photos} with {kind}", name, *results])
    first = rows.iloc[0]
    return (
        f"Found of {first['swapped']} swapped labels and {first['foreign']} foreign photos among "
        f"{first['images']:,} photos, and the share of errors among the photos that were named; "
        "mean ± standard deviation (draws):\n\n"
        + table(["photos", "method", "swapped", "foreign", "precision"], lines, left=2)
    )


def _spread(values: pd.Series, decimals: int) -> str:
    """Return "mean ± sd (n)"; one draw has no spread."""
    mean = f"{values.mean():.{decimals}f}"
    spread = f" ± {values.std():.{decimals}f}" if len(values) > 1 else ""
    return f"{mean}{spread} ({len(values)})"
