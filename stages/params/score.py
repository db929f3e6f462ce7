"""Parameters of the stage score: scores, and the thresholds that turn them into verdicts."""

import difflib
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PlainValidator

from belong.runtime.typed_yaml import Section
from stages.params.split import AlphaSection

# The detectors that may be combined: those that have seen no anomaly. A test holds this list to
# the registry, which cannot be imported here: it brings torch along, and this is to be quick.
COMBINABLE = (
    "mahalanobis",
    "mahalanobis_min",
    "reconstruction",
    "code_knn",
    "code_iforest",
    "active_nodes",
    "msp",
    "max_logit",
    "energy",
    "mahalanobis_tied",
    "relative_mahalanobis",
    "feature_knn",
    "vim",
    "mahalanobis_maps",
    "mahalanobis_hidden",
    "mahalanobis_layers",
)


def _members(value: object) -> list[str]:
    if not isinstance(value, list) or len(value) < 2 or len(set(map(str, value))) < len(value):
        raise ValueError("a list of at least 2 detectors, each once")
    for name in map(str, value):
        if name not in COMBINABLE:
            nearest = difflib.get_close_matches(name, COMBINABLE, n=1, cutoff=0.0)[0]
            raise ValueError(f"detectors that learn without anomalies; nearest is {nearest}")
    return value


class CombinedSection(Section):
    """What `combined` is made of."""

    members: Annotated[list[str], PlainValidator(_members)]
    tail: Annotated[float, Field(gt=0, lt=1)]


class CalibrationSection(AlphaSection):
    """How a score becomes a verdict."""

    model_config = ConfigDict(extra="forbid")

    threshold: Literal["calibrated", "training"]


class Params(Section):
    """What `score` reads from params.yaml."""

    threads: Annotated[int, Field(ge=1, le=1024)]
    combined: CombinedSection
    calibration: CalibrationSection
