"""Run cleanlab on the same probabilities and vectors (extra `bench`).

Labels are checked by confident learning (Northcutt et al., JAIR 2021,
https://arxiv.org/abs/1911.00068), with the defaults of `find_label_issues`. Outliers are scored by
the mean cosine distance to the 10 nearest neighbors (Kuan and Mueller,
https://arxiv.org/abs/2207.03061). `OutOfDistribution` has no default threshold, so that of
cleanlab's Datalab is used: the third quartile of the distances plus (1 / 0.37037 - 1) times the
interquartile range.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.neighbors import NearestNeighbors

from belong.runtime.errors import InputError

NEIGHBORS, THRESHOLD = 10, 0.37037


@dataclass(frozen=True)
class Opinion:
    """The result of cleanlab for n images.

    Attributes:
        is_named: (n,) bool, whether the image is flagged, as mislabeled or as an outlier.
        doubt: (n,) score of the label; higher is more doubtful.
        oddness: (n,) outlier score; higher is more anomalous.
    """

    is_named: np.ndarray
    doubt: np.ndarray
    oddness: np.ndarray


def opinion(probabilities: np.ndarray, labels: np.ndarray, directions: np.ndarray) -> Opinion:
    """Return the result of cleanlab.

    Args:
        probabilities: (n, c), out of fold.
        labels: (n,) int64, the labels of the folder.
        directions: (n, d) vectors of length 1.

    Raises:
        InputError: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.outlier import OutOfDistribution
        from cleanlab.rank import get_label_quality_scores
    except ImportError as error:
        raise InputError("cleanlab: not installed; expected the extra `bench`") from error
    wrong = find_label_issues(labels, probabilities, n_jobs=1)
    quality = get_label_quality_scores(labels, probabilities)
    inliers = OutOfDistribution().fit_score(features=directions, verbose=False)
    return Opinion(np.asarray(wrong) | is_outlier(directions), -quality, -np.asarray(inliers))


def is_outlier(directions: np.ndarray) -> np.ndarray:
    """Return whether each image is beyond the threshold of Datalab: (n, d) -> (n,) bool."""
    search = NearestNeighbors(n_neighbors=NEIGHBORS, metric="cosine").fit(directions)
    distances = search.kneighbors()[0].mean(axis=1)
    low, high = np.quantile(distances, (0.25, 0.75))
    return np.asarray(distances > high + (1 / THRESHOLD - 1) * (high - low))
