"""Parameters of the stage train_head: the supervised head 256-256-1."""

from typing import Annotated

from pydantic import Field

from belong.runtime.typed_yaml import Section
from stages.params import computing


class HeadSection(Section):
    """How the head is trained."""

    epochs: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]
    learning_rate: Annotated[float, Field(gt=0)]


class Params(computing.Params):
    """What `train_head` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    head: HeadSection
