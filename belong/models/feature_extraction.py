"""Compute the outputs of a frozen backbone and of the trained networks for images.

The pipeline and `belong fit` call `embed_parts` and `extract_parts` for all parts of the data.
Parts are processed one by one, so that the images of one part at a time are in memory.
"""

from collections.abc import Iterable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from belong.models.activations import Views
from belong.models.autoencoder import Autoencoder
from belong.models.backbones.backbone import Backbone
from belong.models.base import Network
from belong.models.device import use_threads
from belong.models.feature_cache import FeatureCache, cached, context_of
from belong.models.forward_pass import forward_pass
from belong.models.inference import batch_for, in_full_batch
from belong.runtime.parallel import parallel_map
from belong.runtime.progress import bar

HEAD = "anomaly/head"  # the part that trains the supervised head, and has no other use


def embed_parts(
    backbone: Backbone,
    parts: Iterable[tuple[str, np.ndarray]],
    *,
    device: torch.device,
    cache: FeatureCache | None = None,
) -> dict[str, np.ndarray]:
    """Embed each part, a name and images (n, ch, h, w) uint8: `PART/vectors` (n, v) float32.

    Raises:
        InputError: the backbone cannot take images of this size.
    """
    arrays = {}
    for part, images in parts:
        vectors = embed(backbone, torch.from_numpy(images), device=device, cache=cache)
        arrays[f"{part}/vectors"] = vectors.numpy()
    return arrays


def extract_parts(
    network: Network,
    autoencoder: Autoencoder,
    parts: Iterable[tuple[str, np.ndarray, np.ndarray]],
    *,
    device: torch.device,
    description: str | None = "extract",
) -> dict[str, np.ndarray]:
    """Return the views of each part, in the form of `belong.models.activations.Views.arrays`.

    The part that trains the supervised head has only features. A part is a name, the inputs of the
    network (see `extract`), and images (n, ch, h, w) uint8. Both networks are moved to `device`.
    """
    network.to(device)
    autoencoder.to(device)
    arrays: dict[str, np.ndarray] = {}
    for part, inputs, images in parts:
        tensors = torch.from_numpy(inputs), torch.from_numpy(images)
        views = extract(
            network, autoencoder, *tensors, device=device, description=description
        ).arrays(part)
        arrays |= {f"{HEAD}/features": views[f"{HEAD}/features"]} if part == HEAD else views
    return arrays


def embed(
    backbone: Backbone,
    images: Tensor,
    *,
    device: torch.device,
    cache: FeatureCache | None = None,
    jobs: int | None = None,
    description: str | None = "embed",
) -> Tensor:
    """Return the backbone's vectors (n, v) float32 of images (n, ch, h, w) uint8, on the CPU.

    On a CPU, each batch is computed by one thread, and `jobs` batches run in parallel (None: one
    per processor), so the bytes do not depend on `jobs`. Vectors in `cache` are not computed;
    others are added to it. `description` is the label of the progress bar.

    Raises:
        InputError: the backbone cannot take images of this size.
    """
    backbone.check_size(images)
    folded = backbone.folded().to(device)
    size, jobs = batch_for(device), jobs if device.type == "cpu" else 1
    context = b"" if cache is None else context_of(backbone.digest, device)

    @torch.no_grad()
    def of_batch(batch: Tensor) -> Tensor:
        return in_full_batch(folded.vectors, batch.to(device), batch_size=size).cpu()

    def vectors_of(inputs: Tensor) -> Tensor:
        prepare = partial(use_threads, 1)
        vectors = []
        for part in parallel_map(of_batch, inputs.split(size), jobs=jobs, prepare=prepare):
            vectors.append(part)
            progress.update(len(part))
        return torch.cat(vectors)

    with bar(len(images), description, "image") as progress:
        vectors = cached(vectors_of, images, cache, context=context)
        progress.update(len(images) - progress.n)
    return vectors


def extract(
    network: Network,
    autoencoder: Autoencoder,
    inputs: Tensor,
    images: Tensor,
    *,
    device: torch.device,
    description: str | None = "extract",
) -> Views:
    """Return the views of n images, on the CPU; both networks are trained, and on `device`.

    `inputs` are the inputs of the classifier: images (n, ch, h, w) uint8, or their embeddings by a
    frozen backbone.
    """
    network.eval()
    layers = forward_pass(
        lambda batch, pixels: (*layers_of(network, batch), *autoencoder(pixels)),
        inputs,
        images,
        batch_size=network.batch,
        device=device,
        description=description,
    )
    return Views(*layers)


def layers_of(network: Network, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return features, logits, hidden and maps of one batch, in the order of `Views`."""
    maps, hidden, features = network.layers(inputs)
    return features, network.classifier(features), hidden, maps
