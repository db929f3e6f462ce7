"""Compare each value of a stream with those before it: no calibration image is needed."""

from bisect import bisect_left, bisect_right, insort

import numpy as np


def p_values(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return for each value the share of it and all before that are as low; ties by lot.

    They are independent and uniform on 0..1 if the values are exchangeable, whatever their law
    (Vovk et al., Testing exchangeability on-line, 2003).

    Args:
        values: (n,).
        rng: breaks the ties.
    """
    past: list[float] = []
    shares = np.empty(len(values))
    for place, (value, lot) in enumerate(
        zip(values.tolist(), rng.random(len(values)), strict=True)
    ):
        lower = bisect_left(past, value)
        alike = bisect_right(past, value, lower) - lower + 1
        shares[place] = (lower + lot * alike) / (place + 1)
        insort(past, value)
    return shares
