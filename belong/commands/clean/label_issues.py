"""Which images have the wrong label, and which are foreign: of no class at all.

A label is wrong where an image is farther from its class than from another, and more so than the
images of its class are. An image is foreign where it is farther from every class than images are.
Both are `p_values` over the bulk, of the logarithms: over the images of a class the
first, for classes lie closer to some than to others, and over all images the second, for
foreign images gather near one class and would be its bulk.

So that not every large folder has its suspects, Benjamini and Hochberg's procedure (Controlling the
False Discovery Rate, 1995) is run over all images, for either: of those that it names, the stated
share on average is named wrongly, as far as the law through the bulk holds. Hard images lie beyond
the law, and two such procedures name more than one: reports/cleaning has what the share came to.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from belong.commands.clean.manifest import Remark, Verdict
from belong.commands.clean.out_of_fold import Judged

UPPER = 0.9  # quantile of the scores up to which they are the bulk
REVIEWED = 4  # times the share of false alarms, at which an image is still worth a look


def suspects(judged: Judged, labels: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """Return what is known of each image.

    Args:
        judged: the n images.
        labels: (n,) int64, 0..c-1, as they are given; each class has images.
        class_names: the c names.

    Returns:
        n rows: `predicted_class`, `probability` of it; `nearest_class`, of the others than its
        own; `p_wrong_class`; `p_foreign`; `problem`: "wrong_class" or "foreign", whichever is
        named the sooner; `false_alarms`: the least share of them at which it is named;
        `is_recognized`: the classifier that has not seen it takes it for its own class.
    """
    names = np.array(class_names, dtype=object)
    here = np.arange(len(labels))
    others = judged.distances.astype(np.float64)
    own = others[here, labels]
    others[here, labels] = np.inf
    nearer_to_other = np.log(_above_zero(own) / _above_zero(others.min(axis=1)))
    wrong = np.empty(len(labels))
    for label in range(len(names)):
        wrong[labels == label] = p_values(nearer_to_other[labels == label])
    foreign = p_values(np.log(_above_zero(judged.to_nearest)))
    predicted = judged.probabilities.argmax(axis=1)
    shares = np.stack([false_discovery_control(p, method="bh") for p in (wrong, foreign)])
    return pd.DataFrame(
        {
            "predicted_class": names[predicted],
            "probability": judged.probabilities.max(axis=1),
            "nearest_class": names[others.argmin(axis=1)],
            "p_wrong_class": wrong,
            "p_foreign": foreign,
            "false_alarms": shares.min(axis=0),
            "problem": np.where(shares[0] <= shares[1], "wrong_class", "foreign"),
            "is_recognized": predicted == labels,
        }
    )


def remarks(known: pd.DataFrame, rows: np.ndarray, *, false_alarms: float) -> list[Remark]:
    """Remark on those that are not of their class.

    Args:
        known: what `suspects` returns.
        rows: (n,) int64, of its images.
        false_alarms: the stated share, between 0 and 1, of those that are put aside; at four
            times as many an image is still to be looked at, and so is one with a wrong label
            that the classifier does not doubt.
    """
    named = known.assign(row=rows)[known["false_alarms"] <= REVIEWED * false_alarms]
    is_sure = (named["false_alarms"] <= false_alarms) & ~(
        named["is_recognized"] & (named["problem"] == "wrong_class")
    )
    made = []
    columns = ["row", "problem", "false_alarms", "nearest_class", "is_sure"]
    for row, problem, share, nearest, sure in named.assign(is_sure=is_sure)[columns].to_numpy():
        verdict: Verdict = "quarantine" if sure else "review"
        sentence = "far from every class" if problem == "foreign" else f"nearer to class {nearest}"
        among = f"of images named as surely, about {_percent(share)} are false alarms"
        made.append(Remark(row, verdict, problem, f"{sentence}; {among} by the law of the bulk"))
    return made


def p_values(scores: np.ndarray) -> np.ndarray:
    """Return how rare scores at least as large are among images that belong: (n,) -> (n,).

    A rank cannot say that: whatever a folder holds, the farthest 2 % of it are the farthest 2 %. So
    a law is laid through the bulk of the scores, which a few wrong images hardly move: a normal
    one, its mean at their median, its deviation by what lies between there and the 90th percentile
    (Efron, Large-Scale Simultaneous Hypothesis Testing: The Choice of a Null Hypothesis, JASA
    2004). Where more than a tenth of the images is wrong, it finds less.
    """
    middle, upper = np.quantile(scores, (0.5, UPPER))
    if upper == middle:  # more than four tenths are alike: no law to go by
        return np.ones(len(scores))
    return np.asarray(norm.sf((scores - middle) * norm.ppf(UPPER) / (upper - middle)))


def _above_zero(distances: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(distances, np.finfo(np.float32).tiny))


def _percent(share: float) -> str:
    return "less than 0.01 %" if share < 1e-4 else f"{share * 100:.2g} %"
