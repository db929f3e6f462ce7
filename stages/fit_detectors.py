"""Fit the detectors that learn from normal training images only, and select members to combine.

Reads   network    safetensors: `classifier.weight`, `classifier.bias`
        features   safetensors: the views of the training and calibration images and their labels
Writes  detectors  safetensors: `DETECTOR/ARRAY` of every detector; about: `members`, the candidates
                   of `combined`, and which candidates are selected
"""

from dataclasses import asdict
from pathlib import Path

from belong.detectors.combination import candidates_of
from belong.detectors.fit import PART, fit_detectors
from belong.detectors.member_selection import Retraining, select_members
from belong.detectors.score_parts import HELD_OUT
from belong.models import device
from belong.models.activations import Views
from belong.models.network_choice import is_frozen
from belong.models.train_classifier import TrainingOptions
from belong.parameters import Parameters
from belong.runtime.storage import load_about, load_arrays, save_arrays
from stages.runner import run


def main(params: Path, network: Path, features: Path, detectors: Path) -> None:
    """Fit the detectors one after the other, and save all of them."""
    values = Parameters.load(params)
    device.compute_repeatably(values.threads, values.math)
    layer = load_arrays(network, "classifier.weight", "classifier.bias")
    parts = (PART, HELD_OUT)
    keys = [f"{part}/labels" for part in parts] + [x for part in parts for x in Views.names(part)]
    views, names = load_arrays(features, *keys), load_about(features, "class_names")["class_names"]
    arrays = fit_detectors(
        views,
        names,
        weight=layer["classifier.weight"],
        bias=layer["classifier.bias"],
        options=values.detectors,
        seed=values.seed,
    )
    training = TrainingOptions(lambda_=values.lambda_, **values.train.model_dump())
    frozen = is_frozen(values.network, values.backbone)
    members = select_members(
        views,
        names,
        weight=layer["classifier.weight"],
        bias=layer["classifier.bias"],
        candidates=candidates_of(values.combined.members, is_frozen=frozen),
        options=values.detectors,
        gaussians=values.mahalanobis,
        seed=values.seed,
        retraining=Retraining(training, values.seed) if frozen else None,
    )
    about = {"members": {name: asdict(member) for name, member in members.items()}}
    save_arrays(detectors, arrays, about)


if __name__ == "__main__":
    run(main)
