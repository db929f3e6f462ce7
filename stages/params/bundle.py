"""Parameters of the stage bundle: what is put into a model, and what it says of itself."""

import difflib
from typing import Annotated

from pydantic import Field, PlainValidator

from belong.runtime.typed_yaml import Section
from stages.params import network
from stages.params.pack import Folder, ImagesSection
from stages.params.score import COMBINABLE, CalibrationSection, CombinedSection

CHOICES = ("combined", "mlp_head", *COMBINABLE)


def _detector(value: object) -> str:
    if value not in CHOICES:
        nearest = difflib.get_close_matches(str(value), CHOICES, n=1, cutoff=0.0)[0]
        raise ValueError(f"combined or a detector; nearest is {nearest}")
    return str(value)


class BundleSection(Section):
    """What is put into the model."""

    detector: Annotated[str, PlainValidator(_detector)]
    training_images: Annotated[int, Field(ge=1, le=1_000_000)]


class Params(network.Params):
    """What `bundle` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    lambda_: Annotated[float, Field(ge=0, alias="lambda")]
    normal: Folder
    anomaly: Folder
    images: ImagesSection
    combined: CombinedSection
    calibration: CalibrationSection
    bundle: BundleSection
