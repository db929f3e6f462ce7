"""Choose the candidates of `combined`, and the rule that combines their p-values.

This module does not import torch: the stage `bundle` runs without it. See
`belong.detectors.combined` for the rules, and `belong.detectors.member_selection` for the selection
among the candidates.
"""

from typing import Literal

CombinationRule = Literal["fisher", "harmonic", "stouffer"]

# The default candidates: one detector for each stage of the network, and two for the first maps,
# whose values may be too large or too small.
MEMBERS = (
    "mahalanobis_maps",
    "gram_maps",
    "mahalanobis_hidden",
    "mahalanobis",
    "active_nodes",
    "energy",
    "code_knn",
)
# Candidates above a frozen backbone: two on its last layer, which is trained on many more images.
MEMBERS_ABOVE_A_FROZEN_BACKBONE = (
    "mahalanobis_maps",
    "mahalanobis_normalized",
    "hidden_knn",
    "feature_knn",
    "active_nodes",
    "energy",
    "code_knn",
)
# Members with few images in a cross-conformal model, where none is excluded by its results. 20
# photos of 5 breeds of dogs, 6 draws: the AUROC of near anomalies is 0.926 with these, and 0.918
# with all of the above.
MEMBERS_OF_FEW_IMAGES = MEMBERS_ABOVE_A_FROZEN_BACKBONE[1:-1]


def rule_of(*, is_frozen: bool) -> CombinationRule:
    """Return the rule of `combined`, above a frozen backbone or in a network trained as a whole."""
    return "stouffer" if is_frozen else "harmonic"


def candidates_of(members: list[str] | Literal["auto"], *, is_frozen: bool) -> list[str]:
    """Return the candidates of `combined`, from which its members are selected.

    Args:
        members: the parameter `combined.members`.
        is_frozen: whether the network is trained above a frozen backbone.
    """
    if members == "auto":
        return list(MEMBERS_ABOVE_A_FROZEN_BACKBONE if is_frozen else MEMBERS)
    return members
