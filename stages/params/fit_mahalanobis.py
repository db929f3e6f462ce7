"""Parameters of the stage fit_mahalanobis: one Gaussian per class."""

from typing import Annotated

from pydantic import Field

from stages.params.section import Section


class MahalanobisSection(Section):
    """How the Gaussians and their thresholds are fitted."""

    quantile: Annotated[float, Field(gt=0, le=1)]
    ridge: Annotated[float, Field(ge=0)]


class Params(Section):
    """What `fit_mahalanobis` reads from params.yaml."""

    threads: Annotated[int, Field(ge=1, le=1024)]
    mahalanobis: MahalanobisSection
