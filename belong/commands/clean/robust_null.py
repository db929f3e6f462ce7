"""How rare a score is, as a p-value, where some of the scores are of images that do not belong.

A rank cannot say that: whatever a folder holds, the farthest 2 % of it are the farthest 2 %. So a
law is laid through the bulk of the scores, which a few wrong images hardly move, and the p-values
are those of the law: a normal one, its mean at their median, its deviation by what lies between
there and the 90th percentile (Efron, Large-Scale Simultaneous Hypothesis Testing: The Choice of a
Null Hypothesis, JASA 2004). Where more than a tenth of the images is wrong, it finds less.
"""

import numpy as np
from scipy.stats import norm

UPPER = 0.9


def p_values(scores: np.ndarray) -> np.ndarray:
    """Return how rare scores at least as large are among images that belong: (n,) -> (n,)."""
    middle, upper = np.quantile(scores, (0.5, UPPER))
    if upper == middle:  # more than four tenths are alike: no law to go by
        return np.ones(len(scores))
    return np.asarray(norm.sf((scores - middle) * norm.ppf(UPPER) / (upper - middle)))
