"""Which images are not of their class, and whether they are of another one or of none.

An image is a suspect if it is too far from its own class. So that not every large folder has its
suspects, Benjamini and Hochberg's procedure (Controlling the False Discovery Rate, 1995) is run
over all images: of those that it names, the stated share on average is named wrongly, as far as the
law of the distances holds (`belong.cleaning.typicality`). A suspect that is near another class has
the wrong label, if the classifier that has not seen it says so too; one that is near no class is
foreign.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control

from belong.cleaning.out_of_fold import Judged
from belong.cleaning.remark import Remark
from belong.cleaning.typicality import p_values

NEAR = 0.05  # a class is near if at least this share of its images lies as far away
REVIEWED = 4  # times the share of false alarms, at which an image is still worth a look


def suspects(judged: Judged, labels: np.ndarray, class_names: Sequence[str]) -> pd.DataFrame:
    """Return what is known of each image.

    Args:
        judged: the n images.
        labels: (n,) int64, 0..c-1, as they are given.
        class_names: the c names.

    Returns:
        n rows: `predicted_class`, `probability` of it; `p_own_class`; `false_alarms`: the smallest
        share of false alarms at which the image is named; `nearest_class`, of the others, and
        `p_nearest_class`; `problem`: "wrong_class", "foreign", or "odd", if the classifier still
        takes it for its own class.
    """
    names = np.array(class_names, dtype=object)
    p = p_values(judged.distances, labels)
    here = np.arange(len(labels))
    own = p[here, labels]
    others = p.copy()
    others[here, labels] = -1
    nearest = others.argmax(axis=1)
    predicted = judged.probabilities.argmax(axis=1)
    is_near = others[here, nearest] >= NEAR
    problem = np.where(~is_near, "foreign", np.where(predicted == labels, "odd", "wrong_class"))
    return pd.DataFrame(
        {
            "predicted_class": names[predicted],
            "probability": judged.probabilities.max(axis=1),
            "p_own_class": own,
            "false_alarms": false_discovery_control(own, method="bh"),
            "nearest_class": names[nearest],
            "p_nearest_class": others[here, nearest],
            "problem": problem,
        }
    )


def remarks(known: pd.DataFrame, rows: np.ndarray, *, false_alarms: float) -> list[Remark]:
    """Remark on those that are not of their class.

    Args:
        known: what `suspects` returns.
        rows: (n,) int64, of its images.
        false_alarms: the stated share, between 0 and 1, of those that are put aside.
    """
    made = []
    named = known.assign(row=rows)[known["false_alarms"] <= REVIEWED * false_alarms]
    for image in named.itertuples(index=False):
        sure = image.false_alarms <= false_alarms and image.problem != "odd"
        sentence = _sentence(image.problem, image.p_own_class, image.nearest_class)
        verdict = "quarantine" if sure else "review"
        made.append(Remark(image.row, verdict, image.problem, sentence))
    return made


def _sentence(problem: str, p: float, nearest: str) -> str:
    far = f"far from its class ({_percent(p)} of it would be as far)"
    if problem == "foreign":
        return f"{far}, and from every other"
    if problem == "odd":
        return f"{far}, though it is still taken for it"
    return f"{far}, and like {nearest}"


def _percent(share: float) -> str:
    return "less than 0.01 %" if share < 1e-4 else f"{share * 100:.2g} %"
