"""Estimate the covariance of each class, also with few images or many features.

The empirical covariance of n images in d dimensions has an inverse only for n > d, and a useful
inverse only for n well above d: with n = 1000 and d = 1280 it accepts no new image of its class
(stages/study_covariance.py measures this). `choose` selects the kind of covariance. `whitenings`
fits it to each class and returns W with W W^T = S^-1, which `inverse_root` computes from a Cholesky
factor.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from belong.runtime.errors import InputError

# Minimum number of images of the smallest class per feature, for each kind that auto selects.
PER_CLASS, SHRUNK = 5.0, 1.0
IN_WORDS = {
    "per_class": "a covariance for each class",
    "shrunk": "a shrunk covariance for each class",
    "tied": "one shrunk covariance for all classes",
    "pca": "a covariance for each class, on principal components",
}


def choose(covariance: str, n: int, d: int) -> tuple[str, str]:
    """Choose the kind of covariance; return it with the reason.

    Args:
        covariance: "per_class": the empirical covariance of each class (as in the paper).
            "shrunk": each covariance is shrunk towards a multiple of the identity (Ledoit and Wolf,
            A well-conditioned estimator for large-dimensional covariance matrices, 2004). "tied":
            one shrunk covariance for all classes. "pca": the covariance of each class, on n / 10
            principal components of all classes. "auto": one of the first three.
        n: number of images of the smallest class.
        d: number of features.
    """
    ratio = f"{n} images of the smallest class for {d} features"
    if covariance != "auto":
        return covariance, f"asked for; {ratio}"
    if n >= PER_CLASS * d:
        return "per_class", f"{ratio}, at least {PER_CLASS:g} per feature"
    if n >= SHRUNK * d:
        return "shrunk", f"{ratio}, fewer than {PER_CLASS:g} per feature"
    return "tied", f"{ratio}, fewer than {SHRUNK:g} per feature"


def whitenings(
    classes: Sequence[Tensor], names: Sequence[str], *, covariance: str, ridge: float
) -> list[Tensor]:
    """Return for each class W (d, k) float64: |x W| is the distance of x from its mean.

    k = d except for "pca"; "tied" has one W for all classes. The features (n, d) of each class
    are float64 and centered; `covariance` is the result of `choose`; `ridge` is explained in
    `inverse_root`.

    Raises:
        InputError: all images of a class have equal features, or its covariance has no inverse with
            this ridge.
    """
    if covariance == "tied":
        pooled = torch.cat(list(classes))
        root = inverse_root(_shrunk(pooled), len(pooled), ridge=ridge, subject="all classes")
        return [root]
    axes = _principal(classes) if covariance == "pca" else None
    roots = []
    for x, name in zip(classes, names, strict=True):
        projected = x if axes is None else x @ axes
        matrix = (
            _shrunk(projected)
            if covariance == "shrunk"
            else projected.T @ projected / (len(projected) - 1)
        )
        root = inverse_root(matrix, len(projected), ridge=ridge, subject=f"class {name}")
        roots.append(root if axes is None else axes @ root)
    return roots


def inverse_root(covariance: Tensor, n: int, *, ridge: float, subject: str) -> Tensor:
    """Return W (d, d) with W W^T = S^-1 of a covariance S (d, d) float64.

    S is changed in place: `ridge` times the mean of the diagonal is added to the diagonal. An
    absolute ridge would dominate S, as the center loss shrinks all features. Error messages have
    the name `subject` and the number n of images.

    Raises:
        InputError: S is 0, or has no inverse with this ridge.
    """
    d = len(covariance)
    spread = covariance.trace() / d
    if spread == 0:
        raise InputError(f"all {n} training images of {subject} have the same features")
    covariance.diagonal().add_(ridge * spread)
    lower, failed = torch.linalg.cholesky_ex(covariance)
    # With linearly dependent features, rounding may leave a pivot slightly above 0.
    rounding = max(n, d) * torch.finfo(covariance.dtype).eps * covariance.trace()
    if failed or lower.diagonal().min().square() <= rounding:
        raise InputError(
            f"the covariance of {subject} ({n} images, {d} features) has no inverse with ridge "
            f"{ridge:g}; increase the ridge"
        )
    eye = torch.eye(d, dtype=covariance.dtype)
    inverse: Tensor = torch.linalg.solve_triangular(lower, eye, upper=False)
    return inverse.T


def _shrunk(x: Tensor) -> Tensor:
    """Return Ledoit and Wolf's covariance of centered features (n, d): (d, d)."""
    from sklearn.covariance import ledoit_wolf  # imported here: scoring does not need it

    matrix, _ = ledoit_wolf(x.numpy(), assume_centered=True)
    return torch.from_numpy(matrix)


def _principal(classes: Sequence[Tensor]) -> Tensor:
    """Return the principal components of all classes, each centered at its mean: (d, k)."""
    pooled = torch.cat(list(classes))
    if not pooled.any():
        raise InputError(f"all {len(pooled)} training images have the features of their class")
    k = max(1, min(pooled.shape[1], min(map(len, classes)) // 10))
    _, axes = torch.linalg.eigh(pooled.T @ pooled)
    principal: Tensor = axes[:, -k:]
    return principal
