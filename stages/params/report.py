"""Parameters of the stage report: what the figures show."""

from typing import Annotated

from pydantic import Field

from stages.params import evaluate


class Params(evaluate.Params):
    """What `report` reads from params.yaml."""

    lambda_: Annotated[float, Field(ge=0, alias="lambda")]
