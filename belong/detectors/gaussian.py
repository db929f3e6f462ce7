"""The square root of the inverse of a covariance matrix."""

import torch
from torch import Tensor

from belong.errors import InputError


def whitening(x: Tensor, *, ridge: float, what: str) -> Tensor:
    """Return W (d, d) float64 with W W^T = S^-1, so that |x W| is the Mahalanobis distance.

    Args:
        x: (n, d) float64, centered; S = x^T x / n.
        ridge: see `inverse_root`.
        what: whose covariance it is, for the message.

    Raises:
        InputError: all vectors are equal, or S has no inverse with this ridge.
    """
    return inverse_root(x.T @ x / len(x), len(x), ridge=ridge, what=what)


def inverse_root(covariance: Tensor, n: int, *, ridge: float, what: str) -> Tensor:
    """Return W (d, d) with W W^T = S^-1 of a covariance S (d, d) float64.

    Args:
        covariance: S; it is changed.
        n: images that it was fitted to, for the message.
        ridge: added to the diagonal of S, as a share of its mean. Relative, for the center loss
            shrinks all features: an absolute ridge would swamp S.
        what: whose covariance it is, for the message.

    Raises:
        InputError: S is 0, or has no inverse with this ridge.
    """
    d = len(covariance)
    spread = covariance.trace() / d
    if spread == 0:
        raise InputError(f"all {n} training images of {what} have the same features")
    covariance.diagonal().add_(ridge * spread)
    lower, failed = torch.linalg.cholesky_ex(covariance)
    # Where features depend on each other, rounding may leave a pivot a little above 0.
    rounding = max(n, d) * torch.finfo(covariance.dtype).eps * covariance.trace()
    if failed or lower.diagonal().min().square() <= rounding:
        raise InputError(
            f"the covariance of {what} ({n} images, {d} features) has no inverse with ridge "
            f"{ridge:g}; a larger ridge gives it one"
        )
    eye = torch.eye(d, dtype=covariance.dtype)
    inverse: Tensor = torch.linalg.solve_triangular(lower, eye, upper=False)
    return inverse.T
