"""The page of the study: what a cleaning found of planted photos, beside cleanlab."""

import pandas as pd

from belong.commands.clean.options import FALSE_ALARMS
from belong.runtime.text import table

HEADINGS = [
    "photos", "foreign photos", "method", "swapped found", "foreign found", "named", "precision",
    "AUROC, swapped", "AUROC, foreign",
]  # fmt: skip
# Numbers with their decimals: the counts are means over the draws.
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
        [*map(str, key), *(_spread(own[name], n) for name, n in NUMBERS.items())]
        for key, own in rows.groupby(OF, sort=False)
    ]
    first = rows.iloc[0]
    ours = rows[rows["method"] == OURS]
    accuracy = ", ".join(
        f"{name} {_spread(own['accuracy'], 3)}"
        for name, own in ours.drop_duplicates(["photos", "seed"]).groupby("photos", sort=False)
    )
    return "\n".join(
        [
            "# What `belong clean` finds of planted photos",
            "",
            f"In folders of {first['images'] - first['foreign']:,} photos, {first['swapped']} "
            f"labels were swapped and {first['foreign']} foreign photos added under labels drawn "
            "at random. Each seed draws other photos. Lite0's vectors, five folds, the defaults "
            "of `belong clean`; a photo is named if it is in quarantine as mislabeled or foreign. "
            "cleanlab 2.9 has the same probabilities out of fold and the same vectors: labels by "
            "confident learning, outliers by the mean distance to 10 neighbors and Datalab's "
            "limit. A constant of the rule for foreign photos was raised after draws 0 to 2 of "
            "groceries had been seen; draws from 3 on are blind. Numbers are means ± standard "
            "deviations over draws, (n).",
            "",
            table(HEADINGS, lines, left=3),
            "",
            kept(rows),
            "",
            "The photos' own labels are taken for right, and nobody has looked at them: some of "
            "those that are named beyond what was planted may be wrong indeed. "
            f"Accuracy out of fold, by the labels as they are given: {accuracy}.",
            "",
            "`python -m reproduction.clean_study.study` remakes this page; cleaning.csv has each "
            "draw.",
            "",
        ]
    )


def kept(rows: pd.DataFrame) -> str:
    """Say what the stated share of false alarms came to."""
    ours = rows[rows["method"] == OURS]
    alarms = 1 - ours["precision"]
    return (
        f"The share of false alarms, stated as {FALSE_ALARMS} at most on average, came to "
        f"{_spread(alarms, 2)}, {alarms.max():.2f} in the worst draw."
    )


def summary(rows: pd.DataFrame) -> str:
    """Return the README's sentence."""
    parts = []
    for (photos, kind), own in rows.groupby(OF[:2], sort=False):
        ours, peer = (own[is_ours] for is_ours in (own["method"] == OURS, own["method"] != OURS))
        found = "{} + {} named, precision {}"
        ours_said, peer_said = (
            found.format(
                _spread(one["swapped_found"], 1),
                _spread(one["foreign_found"], 1),
                _spread(one["precision"], 2),
            )
            for one in (ours, peer)
        )
        parts.append(f"{photos} with {kind}: {ours_said} (cleanlab: {peer_said})")
    first = rows.iloc[0]
    return (
        f"Of {first['swapped']} swapped labels + {first['foreign']} foreign photos among "
        f"{first['images']:,}, mean ± standard deviation (draws): {'; '.join(parts)}."
    )


def _spread(values: pd.Series, decimals: int) -> str:
    """Return "mean ± sd (n)"; one draw has no spread."""
    mean = f"{values.mean():.{decimals}f}"
    spread = f" ± {values.std():.{decimals}f}" if len(values) > 1 else ""
    return f"{mean}{spread} ({len(values)})"
