"""Put the trained model into one folder, for the command `belong`.

Reads   backbone     safetensors: the weights of the backbone
        images       safetensors: `normal/train/images`, `normal/train/labels`
        network      safetensors: the trained classifier; about: its shape, the class names
        autoencoder  safetensors: the trained autoencoder
        features     safetensors: `normal/train/features`
        gaussians    safetensors: the fitted Gaussians
        head         safetensors: the supervised head
        detectors    safetensors: all other fitted detectors
        scores       safetensors: scores of the calibration images; about: thresholds, and the
                     detectors that are missing
        metrics      json: what was measured
Writes  bundle       folder: a model, see `belong.prediction.bundle`
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

from belong.parameters import Parameters
from belong.prediction import build_bundle
from belong.prediction.bundle import Bundle
from belong.prediction.manifest import FORMAT, Manifest, TrainedOn
from belong.runtime.environment import versions
from belong.runtime.errors import InputError
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
    """Gather, and save."""
    values = Parameters.load(params)
    detector, alpha = values.bundle.detector, values.calibration.alpha
    members = values.combined.members if detector == "combined" else []
    about = load_about(network, "shape", "class_names")
    scored = load_about(scores, "thresholds", "missing")
    if detector not in scored["thresholds"]:
        why = scored["missing"].get(detector, "it has no scores")
        raise InputError(f"{params}: bundle.detector: got {detector!r}, but {why}")
    thresholds = scored["thresholds"][detector]
    numbers = json.loads(metrics.read_text(encoding="utf-8"))
    held_out = {
        name: load_arrays(scores, f"{HELD_OUT}/{name}")[f"{HELD_OUT}/{name}"]
        for name in (detector, *members)
    }
    train = load_arrays(images, f"{TRAIN}/images", f"{TRAIN}/labels")
    train |= load_arrays(features, f"{TRAIN}/features")
    pixels, labels, vectors = train.values()
    manifest = Manifest(
        format=FORMAT,
        # Of Python not the last number: it changes no byte of what was fitted.
        created_by={"belong": version("belong")}
        | versions()
        | {"Python": "{}.{}".format(*sys.version_info)},
        class_names=about["class_names"],
        form=build_bundle.image_form(
            pixels, background=values.images.background_rgb, max_pixels=values.images.max_pixels
        ),
        network="frozen_efficientnet_b0" if values.is_frozen else values.network,
        shape=about["shape"],
        detector=detector,
        members=members,
        tail=values.combined.tail,
        alpha=alpha,
        n_calibration=len(held_out[detector]),
        threshold=thresholds["in_force"],
        threshold_from=build_bundle.kind_of(thresholds),
        measured=build_bundle.measured(
            numbers, detector, held_out=len(held_out[detector]), alpha=alpha
        ),
        trained_on=TrainedOn(
            normal=Path(values.normal.path).name,
            anomalies=Path(values.anomaly.path).name if "anomaly_test" in numbers["data"] else None,
            images=numbers["data"],
            weight=values.lambda_,
            seed=values.seed,
        ),
        files={},
    )
    uses = manifest.uses
    fitted = build_bundle.of_detectors(
        load_arrays(gaussians), load_arrays(head), load_arrays(detectors), uses
    )
    rng = np.random.default_rng([values.seed, 2])  # another stream than those of the stage split
    arrays = {
        "network": load_arrays(network),
        "backbone": load_arrays(backbone) if values.is_frozen else {},
        "autoencoder": load_arrays(autoencoder) if build_bundle.CODED.intersection(uses) else {},
        "detectors": fitted,
        "calibration": build_bundle.calibration(held_out, detector, members),
        "training": build_bundle.training(
            pixels, vectors, labels, most=values.bundle.training_images, rng=rng
        ),
    }
    Bundle(manifest, arrays).save(bundle)


if __name__ == "__main__":
    run(main)
