"""Parameters of the stage evaluate: how finely it measures and draws."""

from typing import Annotated

from pydantic import Field

from belong.runtime.typed_yaml import Section


class EvaluateSection(Section):
    """The resolution of the curves, and of the intervals."""

    resamples: Annotated[int, Field(ge=20, le=100_000)]
    top_images: Annotated[int, Field(ge=1, le=100)]
    top_share: Annotated[float, Field(gt=0, le=1)]
    curve_points: Annotated[int, Field(ge=10, le=100_000)]
    calibration_points: Annotated[int, Field(ge=2, le=1000)]
    feature_points: Annotated[int, Field(ge=2, le=100_000)]
    histogram_bins: Annotated[int, Field(ge=2, le=10_000)]


class Params(Section):
    """What `evaluate` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    evaluate: EvaluateSection
