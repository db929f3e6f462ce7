"""Parameters of the stage bundle: what a model says of how it was made."""

from typing import Annotated

from pydantic import Field

from stages.params import network
from stages.params.pack import Folder, ImagesSection
from stages.params.score import CalibrationSection, CombinedSection


class Params(network.Params):
    """What `bundle` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    lambda_: Annotated[float, Field(ge=0, alias="lambda")]
    normal: Folder
    anomaly: Folder
    images: ImagesSection
    combined: CombinedSection
    calibration: CalibrationSection
