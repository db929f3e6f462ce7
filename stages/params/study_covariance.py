"""Parameters of the stage study_covariance: how few images the Gaussians are fitted to."""

from typing import Annotated

from pydantic import Field

from belong.runtime.typed_yaml import Section
from stages.params import fit_mahalanobis
from stages.params.score import CalibrationSection


class StudySection(Section):
    """What is tried."""

    ratios: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]
    draws: Annotated[int, Field(ge=1)]


class Params(fit_mahalanobis.Params):
    """What `study_covariance` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    calibration: CalibrationSection
    study: StudySection
