"""Parameters of the stage report: what the figures show."""

from typing import Annotated

from pydantic import Field

from stages.params import evaluate
from stages.params.score import CalibrationSection


class Params(evaluate.Params):
    """What `report` reads from params.yaml."""

    calibration: CalibrationSection
    lambda_: Annotated[float, Field(ge=0, alias="lambda")]
