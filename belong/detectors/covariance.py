"""Estimate the covariance of each class, also with few images or many features.

The empirical covariance of n images in d dimensions has an inverse only for n > d, and a useful
one only for n well above d: with n = 1000 and d = 1280 it takes none of the fresh images of its
class (stages/study_covariance.py measures this). `choose` says which kind is fitted instead;
`whitenings` fits it to each class and returns W with W W^T = S^-1, which `inverse_root` takes from
a Cholesky factor.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from belong.runtime.errors import InputError

# Images of the smallest class for each feature, from which auto takes each kind.
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
        covariance: "per_class": the empirical one of each class (the paper's). "shrunk": each
            shrunk towards a multiple of the identity (Ledoit and Wolf, A well-conditioned
            estimator for large-dimensional covariance matrices, 2004). "tied": one for all
            classes, shrunk. "pca": each class's own, on as many principal components of all
            classes as it has tens of images. "auto": one of the first three.
        n: images of the smallest class.
        d: features.
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

    k = d except for "pca"; one W for all classes if "tied". The features (n, d) of each class
    are float64 and centered; `covariance` is the result of `choose`; see `inverse_root` for the
    ridge.

    Raises:
        InputError: all images of a class have equal features, or its covariance is singular.
    """
    if covariance == "tied":
        every = torch.cat(list(classes))
        root = inverse_root(_shrunk(every), len(every), ridge=ridge, what="all classes")
        return [root]
    axes = _principal(classes) if covariance == "pca" else None
    roots = []
    for x, name in zip(classes, names, strict=True):
        seen = x if axes is None else x @ axes
        matrix = _shrunk(seen) if covariance == "shrunk" else seen.T @ seen / (len(seen) - 1)
        root = inverse_root(matrix, len(seen), ridge=ridge, what=f"class {name}")
        roots.append(root if axes is None else axes @ root)
    return roots


def inverse_root(covariance: Tensor, n: int, *, ridge: float, what: str) -> Tensor:
    """Return W (d, d) with W W^T = S^-1 of a covariance S (d, d) float64.

    S is changed in place: `ridge`, relative to the mean of its diagonal, is added to the diagonal.
    An absolute ridge would dominate S, because the center loss shrinks all features. The message
    names the covariance of `what`, of n images.

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
            f"{ridge:g}; increase the ridge"
        )
    eye = torch.eye(d, dtype=covariance.dtype)
    inverse: Tensor = torch.linalg.solve_triangular(lower, eye, upper=False)
    return inverse.T


def _shrunk(x: Tensor) -> Tensor:
    """Return Ledoit and Wolf's covariance of centered features (n, d): (d, d)."""
    from sklearn.covariance import ledoit_wolf  # not at the top: scoring needs none of it

    matrix, _ = ledoit_wolf(x.numpy(), assume_centered=True)
    return torch.from_numpy(matrix)


def _principal(classes: Sequence[Tensor]) -> Tensor:
    """Return the principal components of all classes about their means: (d, k)."""
    every = torch.cat(list(classes))
    if not every.any():
        raise InputError(f"all {len(every)} training images have the features of their class")
    k = max(1, min(every.shape[1], min(map(len, classes)) // 10))
    _, axes = torch.linalg.eigh(every.T @ every)
    principal: Tensor = axes[:, -k:]
    return principal
