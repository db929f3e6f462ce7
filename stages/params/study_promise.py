"""Parameters of the stage study_promise: how often the normal images are split anew."""

from typing import Annotated

from pydantic import Field

from belong.runtime.typed_yaml import Section
from stages.params.score import CalibrationSection


class PromiseSection(Section):
    """What is tried."""

    splits: Annotated[int, Field(ge=1)]


class Params(Section):
    """What `study_promise` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    calibration: CalibrationSection
    promise: PromiseSection
