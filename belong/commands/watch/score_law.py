r"""Test whether the scores of new images follow the distribution of the calibration scores.

The rate of rejected images sees the tail alone: of 54 calibration scores one is beyond it, and a
rate of 7 % may be luck. The whole law says more: images of which half lie beyond nine tenths of the
calibration scores are foreign, whatever their rate.

A p-value says between which two of n calibration scores an image lies. Given these, and as long as
new images are like them, the place of the next image follows Pólya's urn: n + 1 gaps of one ball
each, and each image puts one more into its gap. That is exact for any law of the scores, and takes
into account that the same n scores judge all images. Bets against it that pay more for low p-values
(Vovk's power bets, kappa p^(kappa - 1), https://alrw.net) are a martingale: `log_capital`.
"""

import numpy as np

# Of the bets p^(kappa - 1): the smaller, the more they stake on the lowest p-values.
KAPPAS = (0.2, 0.4, 0.6, 0.8)


def ranks_of(p_values: np.ndarray, *, n: int) -> np.ndarray:
    """Return the gap of each image, from 0, above all n calibration scores, to n: (m,) int64."""
    return np.asarray(np.rint(p_values * (n + 1)), np.int64) - 1


def gains(ranks: np.ndarray, *, n: int) -> np.ndarray:
    """Return the logarithm of what each bet has gained since the first image: (k, m).

    Of gap j a bet pays f(j) = ((j + 1) / (n + 1))^(kappa - 1), in units of what the urn expects.
    """
    kappas = np.array(KAPPAS)[:, None]
    pays = ((np.arange(n + 1) + 1) / (n + 1)) ** (kappas - 1)  # (k, n + 1)
    paid = pays[:, ranks]
    in_urn = pays.sum(axis=1, keepdims=True) + np.cumsum(paid, axis=1) - paid
    balls = n + 1 + np.arange(len(ranks))
    return np.asarray(np.cumsum(np.log(paid) - np.log(in_urn / balls), axis=1))


def foreign_share(p_values: np.ndarray) -> float:
    """Estimate which share of the images is unlike the calibration images, at least.

    Of images like these, a share t has a p-value of at most t: what is beyond that is foreign. The
    largest of these shares, for t up to one half, as Storey (2002) estimates it.
    """
    levels = np.unique(np.append(p_values[p_values <= 0.5], 0.5))
    within = np.searchsorted(np.sort(p_values), levels, side="right") / len(p_values)
    return float(max(0.0, ((within - levels) / (1 - levels)).max()))
