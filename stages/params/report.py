"""Parameters of the stage report: what a figure's title says."""

from typing import Annotated

from pydantic import Field

from stages.params.section import Section


class Params(Section):
    """What `report` reads from params.yaml."""

    lambda_: Annotated[float, Field(ge=0, alias="lambda")]
