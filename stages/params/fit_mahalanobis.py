"""Parameters of the stage fit_mahalanobis: one Gaussian per class."""

from typing import Annotated, Literal

from pydantic import Field

from belong.runtime.typed_yaml import Section

Covariance = Literal["auto", "per_class", "shrunk", "tied", "pca"]


class MahalanobisSection(Section):
    """How the Gaussians and their thresholds are fitted."""

    quantile: Annotated[float, Field(gt=0, le=1)]
    ridge: Annotated[float, Field(ge=0)]
    covariance: Covariance


class Params(Section):
    """What `fit_mahalanobis` reads from params.yaml."""

    threads: Annotated[int, Field(ge=1, le=1024)]
    mahalanobis: MahalanobisSection
