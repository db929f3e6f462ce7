"""Extract the features of every image from the trained networks.

Reads   backbone     safetensors: the backbone, if there is one; only its card is read
        network      safetensors: the trained classifier
        autoencoder  safetensors: the trained autoencoder
        images       safetensors: `PART/images`, `PART/labels` of each part
        derived      safetensors: `PART/images` of the derived anomalies
        further      safetensors: `PART/images` of further sets of anomalies
        embedded     safetensors: `PART/vectors` of all parts, if the backbone is frozen
Writes  features     safetensors: for each part the arrays of `belong.models.activations.Views`,
                     such as `PART/features` (n, d) float32, and `PART/labels` (n,) int64 if the
                     part has labels; for the anomalies that train the supervised head, the
                     features only
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from belong.models import device as devices
from belong.models.autoencoder import Autoencoder
from belong.models.backbones.card import card_in
from belong.models.feature_extraction import extract_parts
from belong.models.network_choice import is_frozen, kind_of
from belong.models.registry import NETWORKS
from belong.parameters import Parameters
from belong.runtime.storage import load_about, load_arrays, names_in, save_arrays
from stages.runner import run


def main(
    params: Path,
    backbone: Path,
    network: Path,
    autoencoder: Path,
    images: Path,
    derived: Path,
    further: Path,
    embedded: Path,
    features: Path,
) -> None:
    """Extract the views of every part."""
    values = Parameters.load(params)
    devices.compute_repeatably(values.threads, values.math)
    about = load_about(network, "shape", "class_names")
    files = {
        name.removesuffix("/images"): file
        for file in (images, derived, further)
        for name in names_in(file)
        if name.endswith("/images")
    }
    arrays = extract_parts(
        NETWORKS[kind_of(values.network, values.backbone)].from_arrays(
            load_arrays(network), about["shape"], card_in(backbone)
        ),
        Autoencoder.from_arrays(load_arrays(autoencoder)),
        parts_in(files, embedded if is_frozen(values.network, values.backbone) else None),
        device=devices.choose(values.device),
    )
    labels = [name for name in names_in(images) if name.endswith("/labels")]
    arrays |= load_arrays(images, *labels)
    save_arrays(features, arrays, {"class_names": about["class_names"]})


def parts_in(
    files: dict[str, Path], embedded: Path | None
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name of each part, the input of the network, and the images."""
    for part, file in files.items():
        images = load_arrays(file, f"{part}/images")[f"{part}/images"]
        vectors = f"{part}/vectors"
        yield part, load_arrays(embedded, vectors)[vectors] if embedded else images, images


if __name__ == "__main__":
    run(main)
