"""Parameters of the detectors that the stage fit_detectors fits: a section for each that has any.

A detector is named here as in `belong.detectors.registry.KINDS`.
"""

from typing import Annotated

from pydantic import Field

from belong.runtime.typed_yaml import Section
from stages.params.fit_mahalanobis import MahalanobisSection

Neighbors = Annotated[int, Field(ge=1)]
Ridge = Annotated[float, Field(ge=0)]


class CodeNeighbors(Section):
    """Parameters of `code_knn`."""

    k: Neighbors


class CodeIsolation(Section):
    """Parameters of `code_iforest`."""

    trees: Annotated[int, Field(ge=1)]
    # Each vector is compared with every cut of a tree: of larger samples there are too many.
    sample: Annotated[int, Field(ge=2, le=4096)]


class TiedMahalanobis(Section):
    """Parameters of `mahalanobis_tied`."""

    ridge: Ridge


class RelativeMahalanobis(Section):
    """Parameters of `relative_mahalanobis`."""

    ridge: Ridge


class FeatureNeighbors(Section):
    """Parameters of `feature_knn`."""

    k: Neighbors


class VirtualLogit(Section):
    """Parameters of `vim`."""

    principal: Annotated[int, Field(ge=1)]


class DetectorsSection(Section):
    """The sections of all detectors."""

    code_knn: CodeNeighbors
    code_iforest: CodeIsolation
    mahalanobis_tied: TiedMahalanobis
    relative_mahalanobis: RelativeMahalanobis
    feature_knn: FeatureNeighbors
    vim: VirtualLogit
    # A Gaussian for each class, as on the features.
    mahalanobis_maps: MahalanobisSection
    mahalanobis_hidden: MahalanobisSection
    mahalanobis_layers: MahalanobisSection


class Params(Section):
    """What `fit_detectors` reads from params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    threads: Annotated[int, Field(ge=1, le=1024)]
    detectors: DetectorsSection
