"""Parameters of the stage evaluate: how finely its curves are drawn."""

from typing import Annotated

from pydantic import Field

from stages.params.section import Section


class EvaluateSection(Section):
    """The resolution of the curves; no number in metrics.json depends on it."""

    curve_points: Annotated[int, Field(ge=10, le=100_000)]
    histogram_bins: Annotated[int, Field(ge=2, le=10_000)]


class Params(Section):
    """What `evaluate` reads from params.yaml."""

    evaluate: EvaluateSection
