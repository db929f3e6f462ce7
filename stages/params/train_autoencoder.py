"""Parameters of the stage train_autoencoder: paper B's hidden layer of 50 units."""

from typing import Annotated

from pydantic import Field

from belong.runtime.typed_yaml import Section
from stages.params import computing


class AutoencoderSection(Section):
    """What the autoencoder is and how it is trained."""

    units: Annotated[int, Field(ge=1)]
    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]
    most_side_px: Annotated[int, Field(ge=1)]


class Params(computing.Params):
    """What `train_autoencoder` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    autoencoder: AutoencoderSection
