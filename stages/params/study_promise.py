"""Parameters of the stage study_promise: how often the normal images are split anew."""

from typing import Annotated

from pydantic import Field

from stages.params.score import CalibrationSection
from stages.params.section import Section


class PromiseSection(Section):
    """What is tried."""

    splits: Annotated[int, Field(ge=1)]


class Params(Section):
    """What `study_promise` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    calibration: CalibrationSection
    promise: PromiseSection
