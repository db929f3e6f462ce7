"""The square root of the inverse of a covariance matrix."""

import torch
from torch import Tensor

from belong.errors import InputError


def whitening(x: Tensor, *, ridge: float, freedom: int, what: str) -> Tensor:
    """Return W (d, d) float64 with W W^T = S^-1, so that |x W| is the Mahalanobis distance.

    Args:
        x: (n, d) float64, centered.
        ridge: added to the diagonal of S, as a share of its mean. Relative, for the center loss
            shrinks all features: an absolute ridge would swamp S.
        freedom: S = x^T x / freedom.
        what: whose covariance it is, for the message.

    Raises:
        InputError: all vectors are equal, or S has no inverse with this ridge.
    """
    n, d = x.shape
    covariance = x.T @ x / freedom
    spread = covariance.trace() / d
    if spread == 0:
        raise InputError(f"all {n} training images of {what} have the same features")
    covariance.diagonal().add_(ridge * spread)
    lower, failed = torch.linalg.cholesky_ex(covariance)
    # Where features depend on each other, rounding may leave a pivot a little above 0.
    rounding = max(n, d) * torch.finfo(x.dtype).eps * covariance.trace()
    if failed or lower.diagonal().min().square() <= rounding:
        raise InputError(
            f"the covariance of {what} ({n} images, {d} features) has no inverse with ridge "
            f"{ridge:g}; a larger ridge gives it one"
        )
    eye = torch.eye(d, dtype=x.dtype)
    inverse: Tensor = torch.linalg.solve_triangular(lower, eye, upper=False)
    return inverse.T
