"""Which images have the wrong label, and which are foreign: of no class at all.

A label is wrong where what was fitted without the image prefers another class, and more so than it
does for other images. On the vectors of a backbone that is the logarithm of the odds of the
likeliest other class against the class given. A network that was trained on a folder is too sure of
itself for that, and the logarithm of the ratio of distances is taken: to the own class, and to the
nearest other one. An image is foreign where its distance to every class is large.

Both are `p_values` over the bulk of the folder. For labels these are taken over the bulk of the own
class as well, and the larger of the two counts: some classes are harder than others. So that not
every large folder has its suspects, Benjamini and Hochberg's procedure (Controlling the False
Discovery Rate, 1995) is run over all images, for either: of the images that it names, the stated
share at most is named wrongly on average, as far as the law through the bulk holds.

The rule beside those of cleanlab 2.9 (confident learning: Northcutt et al., JAIR 2021,
https://arxiv.org/abs/1911.00068) on the same probabilities, means of 3 or 4 draws, swapped labels
found and right ones named: on 1,300 photos of rooms with 40 swapped `prune_by_noise_rate` names
37 and 6, on 1,500 images of CIFAR-10 it names 33 and 193. At a share of 0.3 this rule names 37 and
4, and 10 and 1: it finds less where classes are hard, and keeps the share.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, norm

from belong.commands.clean.foreign_images import Distances
from belong.commands.clean.manifest import Remark, Verdict
from belong.commands.clean.sight import Sight

UPPER = 0.9  # quantile of the scores up to which they are the bulk
# Times the share, at which a label is still worth a look.
REVIEWED = 1.5
# Distances come closer to their law than odds do, and a label has to be doubted by the classifier
# as well: at the same share more right images would be named foreign than mislabeled. At a share of
# 0.3, of 40 foreign photos among 1,350, a quarter of it names 40 and 2 right ones on rooms, and 0
# and 0 on clothes, where all 40 are farther than any other; a half names 40 and 4, and 39 and 0.
# Features that were trained on the very classes stretch the distances of right images as well: of
# 240 digits, none of them foreign, a half kept 0.962, and a quarter more than 0.97.
FOREIGN = 0.5  # times the share, at which an image is foreign
FOREIGN_TO_TRAINED = 0.25  # by features that were trained on the classes


def suspects(
    probabilities: np.ndarray,
    distances: Distances,
    labels: np.ndarray,
    class_names: Sequence[str],
    sight: Sight,
    *,
    knows_classes: bool,
) -> pd.DataFrame:
    """Return what is known of each image.

    Args:
        probabilities: (n, c), out of fold.
        distances: of the n images.
        labels: (n,) int64, 0..c-1, as they are given; each class has images.
        class_names: the c names.
        sight: how well the images could be judged.
        knows_classes: whether the features were made by what was trained on the classes.

    Returns:
        n rows: `predicted_class`, `probability` of it; `p_wrong_class`, `p_foreign`, missing where
        nothing is said; `share_wrong_class`, `share_foreign`: the least share of false alarms at
        which an image is named for either, 1 where the classifier agrees with the label or nothing
        is said; `false_alarms`: the smaller of the two.
    """
    names, n = np.array(class_names, dtype=object), len(labels)
    predicted = probabilities.argmax(axis=1)
    wrong, foreign = np.full(n, np.nan), np.full(n, np.nan)
    shares = np.ones((2, n))
    if not sight.labels_refused:
        doubts = (
            log_ratio(distances.to_all, labels)
            if knows_classes
            else log_odds(probabilities, labels)
        )
        wrong = p_values(doubts)
        for label in range(len(names)):
            own = labels == label
            wrong[own] = np.maximum(wrong[own], p_values(doubts[own]))
        doubted = false_discovery_control(wrong, method="bh")
        shares[0] = np.where(predicted == labels, 1, doubted)
    if not sight.foreign_refused:
        foreign = false_discovery_control(
            p_values(np.log(_above_zero(distances.to_nearest))), method="bh"
        )
        shares[1] = np.minimum(1, foreign / (FOREIGN_TO_TRAINED if knows_classes else FOREIGN))
    return pd.DataFrame(
        {
            "predicted_class": names[predicted],
            "probability": probabilities.max(axis=1),
            "p_wrong_class": wrong,
            "p_foreign": foreign,
            "share_wrong_class": shares[0],
            "share_foreign": shares[1],
            "false_alarms": shares.min(axis=0),
        }
    )


def remarks(known: pd.DataFrame, rows: np.ndarray, *, false_alarms: float) -> list[Remark]:
    """Remark on those that are not of their class.

    An image that is named for both is foreign: what it is taken for is then chance.

    Args:
        known: what `suspects` returns.
        rows: (n,) int64, of its images.
        false_alarms: the stated share, between 0 and 1, of right images among those that are put
            aside; at half as much again a label is still to be looked at.
    """
    columns = ["row", "predicted_class", "probability", "share_wrong_class", "share_foreign"]
    made = []
    for row, predicted, probability, wrong, foreign in known.assign(row=rows)[columns].itertuples(
        index=False
    ):
        if foreign <= false_alarms:
            sentence = f"far from every class; {_among(foreign)}"
            made.append(Remark(row, "quarantine", "foreign", sentence))
        elif wrong <= REVIEWED * false_alarms:
            verdict: Verdict = "quarantine" if wrong <= false_alarms else "review"
            looks = f"looks like class {predicted} (probability {probability:.2f})"
            made.append(Remark(row, verdict, "wrong_class", f"{looks}; {_among(wrong)}"))
    return made


def log_odds(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return log(p of the likeliest other class / p of the class given): (n, c), (n,) -> (n,)."""
    here = np.arange(len(labels))
    others = probabilities.astype(np.float64)
    own = _above_zero(others[here, labels])
    others[here, labels] = 0
    return np.asarray(np.log(_above_zero(others.max(axis=1)) / own))


def log_ratio(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return log(distance to the own class / to the nearest other): (n, c), (n,) -> (n,)."""
    here = np.arange(len(labels))
    others = distances.astype(np.float64)
    own = _above_zero(others[here, labels])
    others[here, labels] = np.inf
    return np.asarray(np.log(own / _above_zero(others.min(axis=1))))


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


def _above_zero(values: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(values, np.finfo(np.float32).tiny))


def _among(share: float) -> str:
    percent = "less than 0.01 %" if share < 1e-4 else f"at most {share * 100:.2g} %"
    return f"of images named as surely, {percent} are false alarms by the law of the bulk"
