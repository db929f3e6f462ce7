r"""Test whether the scores of new images follow the distribution of the calibration scores.

The rejection rate depends on the tail of the distribution only. With 54 calibration images a single
score determines the threshold, and a rate of 7% may be chance. The whole distribution is more
informative: if half of the images score above nine tenths of the calibration scores, many of them
are out-of-distribution, whatever the rejection rate.

A p-value tells between which two of the n calibration scores an image lies. Given these scores, and
as long as new images come from the same distribution, the position of the next image follows a
Pólya urn: n + 1 gaps start with one ball each, and each image adds a ball to its gap. The urn is
exact for every distribution of the scores, and accounts for the fact that the same n scores are
compared with all images. Bets against the urn that pay more for low p-values (Vovk's power bets,
kappa p^(kappa - 1), https://alrw.net) form a martingale, see `martingale.capital_of`.
"""

import numpy as np

# Exponents of the bets p^(kappa - 1): a smaller kappa stakes more on the lowest p-values.
KAPPAS = (0.2, 0.4, 0.6, 0.8)


def ranks_of(p_values: np.ndarray, *, n: int) -> np.ndarray:
    """Return the gap of each image: (m,) int64, from 0 (above all n calibration scores) to n."""
    return np.asarray(np.rint(p_values * (n + 1)), np.int64) - 1


def gains(ranks: np.ndarray, *, n: int) -> np.ndarray:
    """Return the logarithm of the gain of each bet since the first image: (k, m).

    For gap j a bet pays f(j) = ((j + 1) / (n + 1))^(kappa - 1), divided by the urn's expectation.
    """
    kappas = np.array(KAPPAS)[:, None]
    pays = ((np.arange(n + 1) + 1) / (n + 1)) ** (kappas - 1)  # (k, n + 1)
    payments = pays[:, ranks]
    in_urn = pays.sum(axis=1, keepdims=True) + np.cumsum(payments, axis=1) - payments
    balls = n + 1 + np.arange(len(ranks))
    return np.asarray(np.cumsum(np.log(payments) - np.log(in_urn / balls), axis=1))


def foreign_share(p_values: np.ndarray) -> float:
    """Estimate a lower bound of the share of out-of-distribution images.

    Among in-distribution images a share t has a p-value of at most t; the excess over t is
    out-of-distribution. The result is the largest such estimate for t up to one half (Storey, A
    direct approach to false discovery rates, JRSS B 2002).
    """
    levels = np.unique(np.append(p_values[p_values <= 0.5], 0.5))
    within = np.searchsorted(np.sort(p_values), levels, side="right") / len(p_values)
    return float(max(0.0, ((within - levels) / (1 - levels)).max()))
