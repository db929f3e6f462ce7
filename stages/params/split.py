"""Parameters of the stage split: which images are normal, which are not, and their parts."""

from typing import Annotated

from pydantic import Field

from stages.params.section import Section

# "all", one class, a range of positions "0-9", or a list; `belong.datasets.chosen` reads it.
Classes = str | Annotated[int, Field(ge=0)] | list[str | int]


class DataSet(Section):
    """A data set: where it lies and which of its classes are meant."""

    path: Annotated[str, Field(min_length=1)]
    classes: Classes


class SplitSection(Section):
    """How the normal images are divided."""

    calibration_fraction: Annotated[float, Field(gt=0, lt=1)]


class Params(Section):
    """What `split` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**63)]
    normal: DataSet
    anomaly: DataSet
    split: SplitSection
