"""Parameters of the stage train: cross entropy + lambda x center loss."""

from typing import Annotated

from pydantic import Field

from belong.runtime.typed_yaml import Section
from stages.params import computing, network


class TrainSection(Section):
    """How the classifier is trained."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    center_rate: Annotated[float, Field(ge=0, le=1)]
    shift_px: Annotated[int, Field(ge=0)]
    flip: bool
    embedding: Annotated[int, Field(ge=2)]


class Params(computing.Params, network.Params):
    """What `train` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    lambda_: Annotated[float, Field(ge=0, alias="lambda")]
    train: TrainSection
