"""Register all detectors by name.

A new detector is a file, a line here and, if it has parameters, a section of params.yaml. The
detector `combined` is not registered, as it combines the scores of others
(`belong.detectors.combined`).
"""

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
