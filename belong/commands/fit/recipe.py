"""All that makes a model, in the order of dvc.yaml: from folders of images to a bundle and a page.

The stages of dvc.yaml call the same functions, each on the files of those before it: equal images
and parameters give the same bytes. What takes long is kept in a `Workspace`; the rest is computed
again after an interruption.
"""

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from belong.commands.fit import one_class
from belong.commands.fit.workspace import Arrays, Result, Workspace
from belong.data.loader import check_enough, pack_all
from belong.data.splits import left_out, split
from belong.data.synthetic_anomalies import derive
from belong.detectors import mlp_head
from belong.detectors.fit import fit_detectors, fit_gaussians
from belong.detectors.member_selection import Retraining, select_members
from belong.detectors.score_parts import HELD_OUT, score_parts
from belong.evaluation.evaluate import evaluate
from belong.models import autoencoder as autoencoders
from belong.models import device as devices
from belong.models.backbones.backbone import Backbone
from belong.models.checkpoint import Checkpoint
from belong.models.feature_cache import users_cache
from belong.models.feature_extraction import HEAD, embed_parts, extract_parts
from belong.models.registry import NETWORKS
from belong.models.train_classifier import TrainingOptions, fit_classifier
from belong.parameters import Parameters
from belong.prediction.build_bundle import Fitted, Settings, build_bundle
from belong.prediction.bundle import Bundle
from belong.prediction.learning_data import LearningData
from belong.reporting.report.contents import report_page
from belong.runtime.text import say

TRAIN = "normal/train"
ELSEWHERE = "`belong check -o OUT`"  # lists what cannot be read
COLUMNS = ["part", "is_anomaly", "class_name", "source"]  # of the manifest, that the rest needs
STEPS = {
    "pack": "Bring image files to one form, and pack the images of all data sets",
    "split": "Choose the classes of the data sets, and divide their images into parts",
    "embed": "Pass every image through the backbone once",
    "train": "Train the classifier with cross entropy + lambda x center loss",
    "train_autoencoder": "Train paper B's autoencoder on the normal images",
    "extract": "Pass every image through the networks once",
    "train_head": "Train the supervised head on normal images and known anomalies",
    "fit_detectors": "Fit all other detectors to the normal training images",
    "score": "Score every image with every detector, and set the thresholds",
    "evaluate": "Measure the classifier and every detector on the test images",
}


def make_model(
    values: Parameters,
    workspace: Workspace,
    *,
    backbone: Backbone | None,
    announce: Callable[[str], None],
) -> tuple[Bundle, str, LearningData]:
    """Return a model, the report's page, and what `belong learn` needs.

    Args:
        values: all parameters.
        workspace: keeps what takes long.
        backbone: what the network stands on; None from scratch.
        announce: is told each of `STEPS` before it begins.

    Raises:
        InputError: what is wrong with the images or a parameter; TooManyBadFilesError if too many
            files cannot be read.
    """
    devices.compute_repeatably(values.threads, values.math)
    device, seed = devices.choose(values.device), values.seed

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    names = workspace.keep_on_disk("pack", lambda: _images(values, announce))["class_names"]
    manifest = _table(workspace.load("pack", "manifest"))
    labels = {
        name: workspace.load("pack", name)
        for name in workspace.names("pack")
        if name.endswith("/labels")
    }
    train_labels = labels[f"{TRAIN}/labels"]
    is_one_class = len(names) == 1

    def images_of(part: str) -> np.ndarray:
        return workspace.load("pack", f"{part}/images")

    def every() -> Iterator[tuple[str, np.ndarray]]:
        """Yield the name and the images of each part; one at a time is in memory."""
        for name in workspace.names("pack"):
            if name.endswith("/images"):
                yield name.removesuffix("/images"), workspace.load("pack", name)
        yield from derive(images_of("normal/test"), most=values.derive.images, seed=seed)

    card = None if backbone is None else backbone.card

    def embed(backbone: Backbone) -> Result:
        announce("embed")
        return embed_parts(backbone, every(), device=device, cache=users_cache()), {}

    embedded: Arrays = {}
    if backbone is not None and values.is_frozen:
        embedded, _ = workspace.keep("embed", partial(embed, backbone))

    def inputs_of(part: str, images: np.ndarray | None = None) -> np.ndarray:
        """Return what the network takes: vectors where the backbone is frozen, else images."""
        if embedded:
            return embedded[f"{part}/vectors"]
        return images_of(part) if images is None else images

    training = TrainingOptions(lambda_=values.lambda_, **values.train.model_dump())

    def train(checkpoint: Checkpoint) -> Result:
        if is_one_class:
            drawn = one_class.untrained(
                values.network_kind,
                torch.from_numpy(inputs_of(TRAIN)),
                embedding=training.embedding,
                backbone=backbone,
                generator=generator(),
            )
            return drawn.arrays(), drawn.shape
        announce("train")
        trained, _ = fit_classifier(
            torch.from_numpy(inputs_of(TRAIN)),
            torch.from_numpy(train_labels),
            (torch.from_numpy(inputs_of(HELD_OUT)), torch.from_numpy(labels[f"{HELD_OUT}/labels"])),
            network=values.network_kind,
            classes=len(names),
            options=training,
            generator=generator(),
            device=device,
            backbone=backbone,
            checkpoint=checkpoint,
        )
        return trained.arrays(), trained.shape

    network, shape = workspace.keep_training("train", train)

    def train_autoencoder(checkpoint: Checkpoint) -> Result:
        announce("train_autoencoder")
        pixels = torch.from_numpy(images_of(TRAIN)).to(device)
        trained, _ = autoencoders.fit(
            pixels,
            generator=generator(),
            checkpoint=checkpoint,
            **values.autoencoder.model_dump(),
        )
        return trained.arrays(), {}

    autoencoder, _ = workspace.keep_training("train_autoencoder", train_autoencoder)

    announce("extract")
    features = extract_parts(
        NETWORKS[values.network_kind].from_arrays(network, shape, card),
        autoencoders.Autoencoder.from_arrays(autoencoder),
        ((part, inputs_of(part, pixels), pixels) for part, pixels in every()),
        device=device,
    )
    features |= labels
    vectors = features[f"{TRAIN}/features"]

    def train_head(checkpoint: Checkpoint) -> Result:
        announce("train_head")
        trained, _ = mlp_head.fit(
            torch.from_numpy(vectors).to(device),
            torch.from_numpy(features[f"{HEAD}/features"]).to(device),
            generator=generator(),
            checkpoint=checkpoint,
            **values.head.model_dump(),
        )
        return trained.arrays(), {}

    head: Arrays = {}
    if f"{HEAD}/features" in features:
        head, _ = workspace.keep_training("train_head", train_head)

    announce("fit_detectors")
    gaussians, _ = fit_gaussians(vectors, train_labels, names, options=values.mahalanobis)
    detectors = fit_detectors(
        features,
        names,
        weight=network["classifier.weight"],
        bias=network["classifier.bias"],
        options=values.detectors,
        seed=seed,
    )
    members = (
        one_class.members(values)
        if is_one_class
        else select_members(
            features,
            names,
            weight=network["classifier.weight"],
            bias=network["classifier.bias"],
            candidates=values.candidates,
            options=values.detectors,
            gaussians=values.mahalanobis,
            seed=seed,
            retraining=Retraining(training, seed) if values.is_frozen else None,
        )
    )
    announce("score")
    scores, of_scores = score_parts(
        features,
        names,
        gaussians=gaussians,
        head=head,
        detectors=detectors,
        why_no_head=None if head else mlp_head.NO_ANOMALIES,
        members=members,
        tail=values.combined.tail,
        rule=values.combination_rule,
        calibration=values.calibration,
    )
    announce("evaluate")
    numbers, tables = evaluate(
        scores,
        of_scores,
        manifest=manifest,
        vectors=_of_kinds(features, "test/features"),
        centroids=gaussians["means"],
        options=values.evaluate,
        seed=seed,
    )
    fitted = Fitted(
        images=images_of(TRAIN),
        labels=train_labels,
        features=vectors,
        class_names=names,
        shape=shape,
        network=network,
        backbone={} if backbone is None else backbone.arrays(),
        backbone_card=card,
        autoencoder=autoencoder,
        gaussians=gaussians,
        head=head,
        detectors=detectors,
        held_out={name: scores[f"{HELD_OUT}/{name}"] for name in of_scores["thresholds"]},
        scores=scores,
        thresholds=of_scores["thresholds"],
        members=of_scores["members"],
        missing=of_scores["missing"],
        temperature=of_scores["temperature"],
        metrics=numbers,
    )
    settings = Settings(
        seed=seed,
        lambda_=values.lambda_,
        network=values.network_kind,
        normal=values.normal.path,
        anomaly=values.anomaly.path,
        images=values.images,
        combined=values.combined,
        combination=values.combination_rule,
        calibration=values.calibration,
        bundle=values.bundle,
    )
    bundle = build_bundle(fitted, settings, where=Path("--set"))
    page = report_page(
        scores,
        of_scores,
        manifest=manifest,
        images={
            kind: images_of(f"{kind}/test")
            for kind in ("normal", "anomaly")
            if f"{kind}/test/labels" in labels
        },
        numbers=numbers,
        tables=tables,
        options=values.evaluate,
        parameters=values.model_dump(by_alias=True),
        assessment=bundle.manifest.assessment,
    )
    learning = LearningData.of_fit(features, embedded, values, uses=bundle.manifest.uses)
    return bundle, page, learning


def _images(values: Parameters, announce: Callable[[str], None]) -> Result:
    """Return the images of every part, and their manifest as the bytes of a table."""
    announce("pack")
    folders = [values.normal.path, values.anomaly.path, values.unseen.path]
    packs = pack_all(folders, options=values.images)
    for folder, packed in packs.items():
        limit = values.images.max_bad_fraction
        check_enough(packed, Path(folder), max_bad_fraction=limit, listed=ELSEWHERE)
        if bad := len(packed.unreadable):
            count = bad + len(packed.data.labels)
            say(f"{folder}: {bad} of {count} images cannot be read; {ELSEWHERE} lists them")
    announce("split")
    divided = split(
        {folder: packed.data for folder, packed in packs.items()},
        {"normal": values.normal, "anomaly": values.anomaly, "unseen": values.unseen},
        options=values.split,
        alpha=values.calibration.alpha,
        guarantee=values.calibration.guarantee,
        seed=values.seed,
        least_classes=1,
    )
    if repeats := left_out(divided.manifest):
        say(f"{len(divided.manifest):,} images{repeats}; {ELSEWHERE} lists them")
    table = divided.manifest[COLUMNS].to_csv(index=False).encode()
    arrays = divided.arrays | {"manifest": np.frombuffer(table, np.uint8)}
    return arrays, {"class_names": list(divided.class_names)}


def _table(content: np.ndarray) -> pd.DataFrame:
    """Return the manifest, all of it text but `is_anomaly`."""
    table = pd.read_csv(io.BytesIO(content.tobytes()), dtype=str, na_filter=False)
    return table.assign(is_anomaly=table["is_anomaly"] == "True")


def _of_kinds(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """Return kind -> `KIND/NAME`, for those that there are."""
    kinds = ("normal", "anomaly")
    return {kind: arrays[f"{kind}/{name}"] for kind in kinds if f"{kind}/{name}" in arrays}
