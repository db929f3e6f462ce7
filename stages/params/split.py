"""Parameters of the stage split: which images are normal, which are not, and their parts."""

from typing import Annotated

from pydantic import ConfigDict, Field, PlainValidator

from belong.runtime.typed_yaml import Section
from stages.params.pack import Folder


def _classes(value: object) -> object:
    """Check the form only; which classes there are, the data set knows."""
    ones = value if isinstance(value, list) else [value]
    for one in ones:
        if isinstance(one, bool) or not isinstance(one, str | int) or one == "":
            raise ValueError("all, none, a class, a list of classes or a range such as 0-9")
    return value


Classes = Annotated[str | int | list[str | int], PlainValidator(_classes)]


class DataSet(Folder):
    """A data set: where it lies and which of its classes are meant."""

    model_config = ConfigDict(extra="forbid")

    classes: Classes


class SplitSection(Section):
    """How the images are divided."""

    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    max_gigabytes: Annotated[float, Field(gt=0)]
    further_images: Annotated[int, Field(ge=1)]
    calibration_fraction: Annotated[float, Field(gt=0, lt=1)]


class AlphaSection(Section):
    """The promised rate; what else is said of calibration, other stages read."""

    model_config = ConfigDict(extra="ignore")

    alpha: Annotated[float, Field(gt=0, lt=1)]


class Params(Section):
    """What `split` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    normal: DataSet
    anomaly: DataSet
    unseen: DataSet
    split: SplitSection
    calibration: AlphaSection
