"""The page of the study: in how many draws the achieved rate lies within the stated range."""

import pandas as pd

from belong.runtime.text import table

HEADINGS = [
    "photos", "detector", "alpha", "stated range", "within", "above", "mean rate", "largest",
]  # fmt: skip
DECIDES = "combined"


def page(rows: pd.DataFrame) -> str:
    """Return the page.

    Args:
        rows: one for each draw and detector: `classes`, `of_each`, `seed`, `alpha`, `fresh`,
            `low`, `high`, `detector`, `false_reject` and both accuracies, see `study`.
    """
    lines, said = [], []
    for (classes, of_each), own in rows.groupby(["classes", "of_each"], sort=False):
        names = [DECIDES, *sorted(set(own["detector"]) - {DECIDES})]
        lines += [_line(name, own[own["detector"] == name]) for name in names]
        decides = own[own["detector"] == DECIDES]
        said.append(
            f"{of_each} photos of {classes} classes: accuracy "
            f"{decides['accuracy_out_of_fold'].mean():.3f} out of fold and "
            f"{decides['accuracy_fresh'].mean():.3f} on fresh photos."
        )
    draws = rows["seed"].nunique()
    return "\n".join(
        [
            "# Few images: is the promise kept?",
            "",
            f"{draws} draws each: `belong fit` is fitted to a few photos of each class, calibrates "
            "with the same photos (cross-conformal), and the share of fresh photos that it rejects "
            "is counted. The stated range is the one that it prints: it holds the rate in 95 of "
            "100 draws if the calibration is exact.",
            "",
            table(HEADINGS, lines, left=2),
            "",
            "`within`: draws whose rate lies in the range; `above`: draws whose rate is larger. "
            f"`{DECIDES}` is the detector that decides.",
            "",
            *said,
            "",
            "Made by `python -m reproduction.few_images.study reports/photos DOGS ANIMALS`: photos "
            "of five breeds of dogs (ImageWoof), and of cats and dogs.",
            "",
        ]
    )


def _line(name: str, own: pd.DataFrame) -> list[str]:
    rate, first = own["false_reject"], own.iloc[0]
    within = ((own["low"] <= rate) & (rate <= own["high"])).sum()
    return [
        f"{first['of_each']} x {first['classes']}",
        name,
        f"{first['alpha']:.1%}",
        f"{first['low']:.1%} to {first['high']:.1%}",
        f"{within} of {len(own)}",
        str(int((rate > own["high"]).sum())),
        f"{rate.mean():.1%}",
        f"{rate.max():.1%}",
    ]
