"""Parameters of the stage score: scores, and the thresholds that turn them into verdicts."""

from typing import Annotated, Literal

from pydantic import Field

from stages.params.section import Section


class CalibrationSection(Section):
    """How a score becomes a verdict."""

    threshold: Literal["calibrated", "training"]
    alpha: Annotated[float, Field(gt=0, lt=1)]


class Params(Section):
    """What `score` reads from params.yaml."""

    threads: Annotated[int, Field(ge=1, le=1024)]
    calibration: CalibrationSection
