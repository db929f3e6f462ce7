"""Save the trained model as one folder, for the command `belong`.

Reads   backbone     safetensors: the weights of the backbone
        images       safetensors: `normal/train/images`, `normal/train/labels`
        network      safetensors: the trained classifier; about: its shape, the class names
        autoencoder  safetensors: the trained autoencoder
        features     safetensors: `normal/train/features`
        gaussians    safetensors: the fitted Gaussians
        head         safetensors: the supervised head
        detectors    safetensors: all other fitted detectors
        scores       safetensors: scores of the calibration and test images; about: thresholds,
                     the candidates of `combined`, the missing detectors, and the
                     temperature of the logits
        metrics      json: the measured metrics
Writes  bundle       folder: a model, see `belong.prediction.bundle`
"""

import json
from pathlib import Path

from belong.detectors.combination import candidates_of, rule_of
from belong.models.backbones.card import card_in
from belong.models.network_choice import is_frozen, kind_of
from belong.parameters import Parameters
from belong.prediction.build_bundle import Fitted, Settings, build_bundle
from belong.runtime.storage import load_about, load_arrays
from stages.runner import run

TRAIN, HELD_OUT = "normal/train", "normal/calibration"


def main(
    params: Path,
    backbone: Path,
    images: Path,
    network: Path,
    autoencoder: Path,
    features: Path,
    gaussians: Path,
    head: Path,
    detectors: Path,
    scores: Path,
    metrics: Path,
    bundle: Path,
) -> None:
    """Load all parts, build the model, and save it."""
    values = Parameters.load(params)
    of_network = load_about(network, "shape", "class_names")
    of_scores = load_about(scores, "thresholds", "members", "missing", "temperature")
    scored = load_arrays(scores)
    train = load_arrays(images, f"{TRAIN}/images", f"{TRAIN}/labels")
    train |= load_arrays(features, f"{TRAIN}/features")
    frozen = is_frozen(values.network, values.backbone)
    candidates = candidates_of(values.combined.members, is_frozen=frozen)
    fitted = Fitted(
        images=train[f"{TRAIN}/images"],
        labels=train[f"{TRAIN}/labels"],
        features=train[f"{TRAIN}/features"],
        class_names=of_network["class_names"],
        shape=of_network["shape"],
        network=load_arrays(network),
        backbone=load_arrays(backbone),
        backbone_card=card_in(backbone),
        autoencoder=load_arrays(autoencoder),
        gaussians=load_arrays(gaussians),
        head=load_arrays(head),
        detectors=load_arrays(detectors),
        held_out={name: scored[f"{HELD_OUT}/{name}"] for name in of_scores["thresholds"]},
        scores=scored,
        thresholds=of_scores["thresholds"],
        members={name: of_scores["members"][name] for name in candidates},
        missing=of_scores["missing"],
        temperature=of_scores["temperature"],
        metrics=json.loads(metrics.read_text(encoding="utf-8")),
    )
    settings = Settings(
        seed=values.seed,
        lambda_=values.lambda_,
        network=kind_of(values.network, values.backbone),
        normal=values.normal.path,
        anomaly=values.anomaly.path,
        images=values.images,
        combined=values.combined,
        combination=rule_of(is_frozen=frozen),
        calibration=values.calibration,
        bundle=values.bundle,
    )
    build_bundle(fitted, settings, where=params).save(bundle)


if __name__ == "__main__":
    run(main)
