"""Write the page of the study: the number of draws in which each guarantee holds."""

import pandas as pd

from belong.calibration.sample_size import CONDITIONAL, MARGINAL, PER_CLASS
from belong.runtime.text import table

DECIDES = "combined"
FDR = "fdr"  # the guarantee for a mixed batch
ON_AVERAGE = [
    "photos", "detector", "alpha", "expected range", "draws within", "above", "below exact range",
    "mean rate", "largest",
]  # fmt: skip
OF_A_CLASS = [
    "photos", "class", "alpha", "calibration photos", "draws", "within", "above",
    "below exact range", "mean rate",
]  # fmt: skip
WITH_CERTAINTY = [
    "photos", "alpha", "draws above alpha", "expected at most", "mean rate", "largest",
]  # fmt: skip
REPORTED = ["photos", "FDR", "bound", "mean share of fresh ones", "standard error", "found"]
CASE = ["classes", "of_each"]
BELONG = 0.8  # share of images that belong in a mixed batch


def page(rows: pd.DataFrame) -> str:
    """Return the page.

    Args:
        rows: the table few_images.csv, see `reproduction.few_images.study`.
    """
    of = dict(iter(rows.groupby("guarantee")))
    draws = rows["seed"].nunique()
    decides = rows[(rows["detector"] == DECIDES) & (rows["guarantee"] == MARGINAL)]
    return "\n".join(
        [
            "# Few images: are the guarantees kept?",
            "",
            _result(decides),
            "",
            f"{draws} draws each: `belong fit` is fitted to a few photos and calibrates with the "
            "same photos (cross-conformal). Then the rejected ones among fresh photos are counted.",
            "",
            "## On average",
            "",
            "The expected range is the one that `belong fit` prints: from 0 to the upper end of "
            "the range that holds 95 of 100 rates of an exact calibration. The images that "
            "calibrate are scored by models with fewer images, so rates tend to be lower; the "
            "table counts how many are below the exact range. Until these draws had shown this, "
            f"the printed range was the exact one. `{DECIDES}` is the detector that decides.",
            "",
            table(ON_AVERAGE, _on_average(of[MARGINAL]), left=2),
            "",
            *_accuracies(decides),
            "",
            "## Of each predicted class",
            "",
            "`--guarantee per-class`: each class has its own threshold, if enough photos were "
            "predicted as it.",
            "",
            table(OF_A_CLASS, _of_classes(of[PER_CLASS]), left=2),
            "",
            "## With certainty",
            "",
            "`--guarantee training-conditional`: with 95% certainty the rate is at most alpha. "
            "The rate is measured on a limited number of fresh photos; `expected at most` counts "
            "that, too.",
            "",
            table(WITH_CERTAINTY, _with_certainty(of[CONDITIONAL]), left=1),
            "",
            "## In a mixed batch",
            "",
            "`belong score --fdr`: of 80 fresh photos and 20 photos of no class, the share of "
            "fresh ones among the rejected photos, on average over the draws. With so few "
            "calibration photos, a small share can only be kept by rejecting nothing.",
            "",
            table(REPORTED, _reported(of[FDR]), left=1),
            "",
            "Made by `python -m reproduction.few_images.study reports/photos DOGS ANIMALS FAR`: "
            "photos of five breeds of dogs (ImageWoof), of cats and dogs, and of cats alone.",
            "",
        ]
    )


def _result(rows: pd.DataFrame) -> str:
    """Return the rates of the deciding detector, and how often they are above their range."""
    cases = [case for _, case in rows.groupby(CASE, sort=False)]
    is_kept = all(case["rate"].mean() <= case["alpha"].iloc[0] for case in cases)
    rates = ", ".join(
        f"{case['rate'].mean():.1%} with {_photos(case)} photos "
        f"({case['alpha'].iloc[0]:.1%} promised)"
        for case in cases
    )
    above = ", ".join(f"{(case['rate'] > case['high']).sum()} of {len(case)}" for case in cases)
    return (
        f"**Result.** On average, the promised rate is {'' if is_kept else 'not always '}kept. Of "
        f"fresh photos, `{DECIDES}` rejects {rates}; 20 x 5 means 20 photos of each of 5 classes. "
        f"The rate of a single model is above its expected range in {above} draws."
    )


def within(rows: pd.DataFrame) -> int:
    """Return the number of draws with a rate in the range."""
    return int(rows["rate"].between(rows["low"], rows["high"]).sum())


def _on_average(rows: pd.DataFrame) -> list[list[str]]:
    lines = []
    for _, of_case in rows.groupby(CASE, sort=False):
        names = [DECIDES, *sorted(set(of_case["detector"]) - {DECIDES})]
        for name in names:
            detector_rows = of_case[of_case["detector"] == name]
            first, rate = detector_rows.iloc[0], detector_rows["rate"]
            lines.append(
                [
                    _photos(detector_rows),
                    name,
                    f"{first['alpha']:.1%}",
                    f"{first['low']:.1%} to {first['high']:.1%}",
                    f"{within(detector_rows)} of {len(detector_rows)}",
                    str(int((rate > detector_rows["high"]).sum())),
                    str(int((rate < detector_rows["exact_low"]).sum())),
                    f"{rate.mean():.1%}",
                    f"{rate.max():.1%}",
                ]
            )
    return lines


def _of_classes(rows: pd.DataFrame) -> list[list[str]]:
    return [
        [
            _photos(group),
            str(name),
            f"{group['alpha'].iloc[0]:.0%}",
            f"{group['calibration_images'].min()} to {group['calibration_images'].max()}",
            str(len(group)),
            str(within(group)),
            str(int((group["rate"] > group["high"]).sum())),
            str(int((group["rate"] < group["exact_low"]).sum())),
            f"{group['rate'].mean():.1%}",
        ]
        for (*_, name), group in rows.groupby([*CASE, "class"], sort=False)
    ]


def _with_certainty(rows: pd.DataFrame) -> list[list[str]]:
    return [
        [
            _photos(group),
            f"{group['alpha'].iloc[0]:.1%}",
            f"{(group['rate'] > group['alpha']).sum()} of {len(group)}",
            f"{group['above_expected'].sum():.1f}",
            f"{group['rate'].mean():.1%}",
            f"{group['rate'].max():.1%}",
        ]
        for _, group in rows.groupby(CASE, sort=False)
    ]


def _reported(rows: pd.DataFrame) -> list[list[str]]:
    return [
        [
            _photos(group),
            f"{fdr:.0%}",
            f"{BELONG * fdr:.1%}",
            f"{group['rate'].mean():.1%}",
            f"{float(group['rate'].to_numpy(float).std(ddof=1) / len(group) ** 0.5):.1%}",
            f"{group['found'].mean():.0%}",
        ]
        for _, group in rows.groupby([*CASE, "alpha"], sort=False)
        for fdr in group["alpha"].to_numpy(float)[:1]
    ]


def _accuracies(rows: pd.DataFrame) -> list[str]:
    return [
        f"{_photos(group)} photos: accuracy {group['accuracy_out_of_fold'].mean():.3f} out of fold "
        f"and {group['accuracy_fresh'].mean():.3f} on fresh photos."
        for _, group in rows[rows["classes"] > 1].groupby(CASE, sort=False)
    ]


def _photos(rows: pd.DataFrame) -> str:
    first = rows.iloc[0]
    return f"{first['of_each']} x {first['classes']}"
