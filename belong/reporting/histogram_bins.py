"""Choose histogram bins for scores with long tails and different scales."""

from collections.abc import Sequence

import numpy as np


def score_edges(scores: Sequence[np.ndarray], *, bins: int) -> tuple[np.ndarray, bool]:
    """Return the edges (bins + 1,) of the bins for all `scores`, and whether they are logarithmic.

    Distances span powers of ten; scores that may be negative do not. The bins span 99.9% of the
    scores, so that a few outliers do not compress the histogram. Outliers are clipped into the
    outermost bins.
    """
    low, high = np.quantile(np.concatenate(scores), [0.0005, 0.9995])
    logarithmic = bool(low > 0)
    if not high > low:  # all scores are the same
        high = low * 2 if logarithmic else low + 1
    spaced = np.geomspace if logarithmic else np.linspace
    edges = np.asarray(spaced(low, high, bins + 1), dtype=np.float64)
    return edges, logarithmic


def shares(scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the share of the scores (n,) in each bin (bins,); outliers count in the end bins."""
    counts = np.histogram(scores.clip(edges[0], edges[-1]), edges)[0]
    return np.asarray(counts / len(scores))
