"""Register all detectors by name.

A new detector is a file in this folder, its import and its line in `DETECTORS`. It is then fitted,
calibrated and evaluated, and params.yaml may name it. Parameters that params.yaml sets need more
lines, see `docs/detectors.md`. The detector `combined` is not registered, as it combines the scores
of others (`belong.detectors.combined`).
"""

import difflib
from collections.abc import Iterator
from typing import Literal

from belong.detectors.active_nodes import ActiveNodes
from belong.detectors.base import Detector
from belong.detectors.code_iforest import CodeIsolation
from belong.detectors.code_knn import CodeNeighbors
from belong.detectors.combined import REVIEW_HEAD
from belong.detectors.energy import Energy
from belong.detectors.feature_knn import FeatureNeighbors
from belong.detectors.gen import GeneralizedEntropy
from belong.detectors.gram_maps import MapsGram
from belong.detectors.hidden_knn import HiddenNeighbors
from belong.detectors.mahalanobis import Mahalanobis, MahalanobisInUnits
from belong.detectors.mahalanobis_layers import HiddenMahalanobis, LayerMahalanobis, MapsMahalanobis
from belong.detectors.mahalanobis_normalized import NormalizedMahalanobis
from belong.detectors.mahalanobis_tied import TiedMahalanobis
from belong.detectors.max_logit import MaximumLogit
from belong.detectors.mlp_head import MlpHead
from belong.detectors.msp import MaximumSoftmaxProbability
from belong.detectors.reconstruction import ReconstructionError
from belong.detectors.relative_mahalanobis import RelativeMahalanobis
from belong.detectors.review_head import ReviewHead
from belong.detectors.vim import VirtualLogit
from belong.runtime.errors import InputError

DETECTORS: dict[str, type[Detector]] = {
    "mahalanobis": Mahalanobis,
    "mahalanobis_min": MahalanobisInUnits,
    "mlp_head": MlpHead,
    "reconstruction": ReconstructionError,
    "code_knn": CodeNeighbors,
    "code_iforest": CodeIsolation,
    "active_nodes": ActiveNodes,
    "msp": MaximumSoftmaxProbability,
    "max_logit": MaximumLogit,
    "energy": Energy,
    "gen": GeneralizedEntropy,
    "mahalanobis_tied": TiedMahalanobis,
    "relative_mahalanobis": RelativeMahalanobis,
    "feature_knn": FeatureNeighbors,
    "vim": VirtualLogit,
    "mahalanobis_maps": MapsMahalanobis,
    "gram_maps": MapsGram,
    "mahalanobis_hidden": HiddenMahalanobis,
    "mahalanobis_layers": LayerMahalanobis,
    "mahalanobis_normalized": NormalizedMahalanobis,
    "hidden_knn": HiddenNeighbors,
}
# The detectors of a model, with the one that `belong learn` adds.
OF_MODELS: dict[str, type[Detector]] = DETECTORS | {REVIEW_HEAD: ReviewHead}


def stored_in(file: str) -> list[str]:
    """Return the detectors whose arrays are in one of the pipeline's files, see `Detector.file`."""
    return [name for name, kind in DETECTORS.items() if kind.file == file]


def unknown_names(members: list[str] | Literal["auto"], detector: str) -> Iterator[str]:
    """Yield a line for each parameter that names no detector.

    Args:
        members: the parameter `combined.members`.
        detector: the parameter `bundle.detector`.
    """
    combinable = [name for name, kind in DETECTORS.items() if kind.is_combinable]
    for name in [] if members == "auto" else members:
        if name not in combinable:
            yield (
                f"combined.members: expected detectors that learn without anomalies; nearest is "
                f"{_nearest(name, combinable)}, got {members}"
            )
    if detector not in (known := ["combined", *DETECTORS]):
        yield (
            f"bundle.detector: expected combined or a detector; nearest is "
            f"{_nearest(detector, known)}, got {detector!r}"
        )


def check_names(members: list[str] | Literal["auto"], detector: str, *, where: str) -> None:
    """Refuse parameters that name no detector, see `unknown_names`; `where` begins the message.

    Raises:
        InputError: with one of the lines.
    """
    for line in unknown_names(members, detector):
        raise InputError(f"{where}: {line}")


def _nearest(name: str, known: list[str]) -> str:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
