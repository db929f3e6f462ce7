"""Parameters of the stage derive: how many derived anomalies of each kind."""

from typing import Annotated

from pydantic import Field

from belong.runtime.typed_yaml import Section


class DeriveSection(Section):
    """How many images are made of each kind."""

    images: Annotated[int, Field(ge=1)]


class Params(Section):
    """What `derive` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    derive: DeriveSection
