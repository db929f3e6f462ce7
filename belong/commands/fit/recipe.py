"""Fit a model in the order of the stages of dvc.yaml: from image folders to a bundle and a report.

The stages of dvc.yaml call the same functions on the files of earlier stages, so equal images and
parameters give the same bytes. Slow results are stored in a `Workspace`; all other results are
computed again after an interruption.
"""

import io
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from belong.calibration.cross_conformal import FOLDS
from belong.calibration.sample_size import least_alpha, least_to_calibrate
from belong.commands.fit import one_class
from belong.commands.fit.cross_fit import Part, out_of_fold_scores
from belong.commands.fit.fitting import TRAIN, Arrays, Fitting, last_layer
from belong.commands.fit.workspace import Result, Workspace
from belong.data.loader import LISTED_BY_CHECK, check_enough, pack_all
from belong.data.splits import left_out, split
from belong.data.synthetic_anomalies import derive, drawn_rows
from belong.detectors import mlp_head
from belong.detectors.combination import candidates_of, rule_of
from belong.detectors.member_selection import Retraining, select_members
from belong.detectors.registry import stored_in
from belong.detectors.score_parts import HELD_OUT, cross_scores, score_parts
from belong.evaluation.evaluate import evaluate
from belong.evaluation.subset_training import learning_curve
from belong.models import autoencoder as autoencoders
from belong.models import device as devices
from belong.models.backbones.backbone import Backbone
from belong.models.checkpoint import Checkpoint
from belong.models.feature_cache import users_cache
from belong.models.feature_extraction import HEAD, embed_parts, extract_parts
from belong.models.network_choice import is_frozen, kind_of
from belong.models.registry import NETWORKS
from belong.parameters import CalibrationSection, Parameters
from belong.prediction.build_bundle import CODED, Fitted, Settings, build_bundle
from belong.prediction.bundle import Bundle
from belong.prediction.learning_data import LearningData
from belong.prediction.manifest import CrossConformal
from belong.reporting.report.report_page import report_page
from belong.runtime.argument_names import heading
from belong.runtime.errors import InputError
from belong.runtime.text import say

TEST, DERIVED = "normal/test", "derived/"
COLUMNS = ["part", "is_anomaly", "class_name", "source"]  # used columns of the manifest
STEPS = {
    "pack": "Bring image files to one form, and pack the images of all data sets",
    "split": "Choose the classes of the data sets, and divide their images into parts",
    "embed": "Pass every image through the backbone once",
    "train": "Train the classifier with cross entropy + lambda x center loss",
    "train_autoencoder": "Train the autoencoder on the normal images",
    "extract": "Pass every image through the networks once",
    "train_head": "Train the supervised head on normal images and known anomalies",
    "fit_detectors": "Fit all other detectors to the normal training images",
    "cross_fit": "Score each training image with detectors fitted without it",
    "score": "Score every image with every detector, and set the thresholds",
    "learning_curve": "Measure the model with fewer training images",
    "evaluate": "Measure the classifier and every detector on the test images",
}


def make_model(
    values: Parameters,
    workspace: Workspace,
    *,
    backbone: Backbone | None,
    announce: Callable[[str], None],
    cross: bool = False,
    lowers_promise: bool = False,
) -> tuple[Bundle, str, LearningData | None]:
    """Fit a model; return it, the page of the report, and the data for `belong learn`.

    The data for `belong learn` are None if the model cannot be updated by that command.

    Args:
        values: all parameters.
        workspace: stores slow results.
        backbone: the backbone of the network; None for training from scratch.
        announce: is called with each of `STEPS` before it begins.
        cross: calibrate with the training images, see `belong.calibration.cross_conformal`, and
            also test with them if there is no test part.
        lowers_promise: if there are too few images for alpha, use the minimum alpha for this number
            instead of raising an error.

    Raises:
        InputError: the images or a parameter are invalid.
        TooManyBadFilesError: too many files cannot be read.
    """
    devices.compute_repeatably(values.threads, values.math)
    device, seed = devices.choose(values.device), values.seed
    names = workspace.keep_on_disk("pack", lambda: _images(values, announce, cross=cross))[
        "class_names"
    ]
    manifest = _table(workspace.load("pack", "manifest"))
    labels = {
        name: workspace.load("pack", name)
        for name in workspace.names("pack")
        if name.endswith("/labels")
    }
    train_labels = labels[f"{TRAIN}/labels"]
    is_one_class = len(names) == 1
    frozen = is_frozen(values.network, values.backbone)
    candidates = candidates_of(values.combined.members, is_frozen=frozen)
    calibration = values.calibration
    if cross:
        calibration = _reachable(calibration, len(train_labels), lowers_promise=lowers_promise)
    # Without test images, each training image is scored by a fit without it.
    tests_itself = f"{TEST}/labels" not in labels
    test_part = TRAIN if tests_itself else TEST

    def images_of(part: str) -> np.ndarray:
        return workspace.load("pack", f"{part}/images")

    def image_parts() -> Iterator[tuple[str, np.ndarray]]:
        """Yield the name and the images of each part; one part at a time is in memory."""
        for name in workspace.names("pack"):
            if name.endswith("/images"):
                yield name.removesuffix("/images"), workspace.load("pack", name)
        yield from derive(images_of(test_part), most=values.derive.images, seed=seed)

    card = None if backbone is None else backbone.card

    def embed(backbone: Backbone) -> Result:
        announce("embed")
        return embed_parts(backbone, image_parts(), device=device, cache=users_cache()), {}

    embeddings: Arrays = {}
    if backbone is not None and frozen:
        embeddings, _ = workspace.keep("embed", partial(embed, backbone))

    def inputs_of(part: str, images: np.ndarray | None = None) -> np.ndarray:
        """Return the network inputs: embeddings of a frozen backbone, or the images."""
        if embeddings:
            return embeddings[f"{part}/vectors"]
        return images_of(part) if images is None else images

    fitting = Fitting(values, names, device, backbone)

    def train(checkpoint: Checkpoint) -> Result:
        if not is_one_class:
            announce("train")
        held_out = None if cross else (inputs_of(HELD_OUT), labels[f"{HELD_OUT}/labels"])
        classifier = fitting.network(inputs_of(TRAIN), train_labels, held_out, checkpoint)
        return classifier.arrays(), classifier.shape

    network, shape = workspace.keep_training("train", train)

    def train_autoencoder(checkpoint: Checkpoint) -> Result:
        announce("train_autoencoder")
        return fitting.autoencoder(images_of(TRAIN), checkpoint).arrays(), {}

    autoencoder, _ = workspace.keep_training("train_autoencoder", train_autoencoder)

    announce("extract")
    features = extract_parts(
        NETWORKS[kind_of(values.network, values.backbone)].from_arrays(network, shape, card),
        autoencoders.Autoencoder.from_arrays(autoencoder),
        ((part, inputs_of(part, pixels), pixels) for part, pixels in image_parts()),
        device=device,
    )
    features |= labels
    vectors = features[f"{TRAIN}/features"]

    def train_head(checkpoint: Checkpoint) -> Result:
        announce("train_head")
        return fitting.head(vectors, features[f"{HEAD}/features"], checkpoint), {}

    head: Arrays = {}
    if f"{HEAD}/features" in features:
        head, _ = workspace.keep_training("train_head", train_head)

    announce("fit_detectors")
    gaussians, detectors = fitting.detectors(features, network)
    why_no_head = None if head else mlp_head.NO_ANOMALIES
    if cross:

        def score_folds() -> Result:
            announce("cross_fit")
            rows = np.arange(len(train_labels))
            sources = drawn_rows(
                len(rows), most=values.derive.images, rng=np.random.default_rng(seed)
            )
            return out_of_fold_scores(
                fitting.like(features, network),
                Part(inputs_of(TRAIN), images_of(TRAIN), rows),
                train_labels,
                derived={
                    part: Part(inputs_of(part, pixels), pixels, sources)
                    for part, pixels in image_parts()
                    if part.startswith(DERIVED) and tests_itself
                },
                anomalies=(inputs_of(HEAD), images_of(HEAD)) if head else None,
                seed=seed,
            ), {}

        out_of_fold, _ = workspace.keep("cross_fit", score_folds)
        announce("score")
        scores, score_summary = cross_scores(
            out_of_fold,
            features,
            names,
            gaussians=gaussians,
            head=head,
            detectors=detectors,
            why_no_head=why_no_head,
            members=list(one_class.members(values)) if is_one_class else candidates,
            tail=values.combined.tail,
            rule=rule_of(is_frozen=frozen),
            calibration=calibration,
        )
    else:
        members = (
            one_class.members(values)
            if is_one_class
            else select_members(
                features,
                names,
                **last_layer(network),
                candidates=candidates,
                options=values.detectors,
                gaussians=values.mahalanobis,
                seed=seed,
                retraining=Retraining(fitting.training, seed) if frozen else None,
            )
        )
        announce("score")
        scores, score_summary = score_parts(
            features,
            names,
            gaussians=gaussians,
            head=head,
            detectors=detectors,
            why_no_head=why_no_head,
            members=members,
            tail=values.combined.tail,
            rule=rule_of(is_frozen=frozen),
            calibration=calibration,
        )
    curve = None
    if frozen and not is_one_class:
        announce("learning_curve")
        curve = learning_curve(
            features[f"{TRAIN}/hidden"],
            train_labels,
            classes=len(names),
            training=fitting.training,
            seed=seed,
        )
    announce("evaluate")
    if tests_itself:
        test_rows = manifest[manifest["part"] == TRAIN].assign(part=TEST)
        manifest = pd.concat([manifest, test_rows], ignore_index=True)
        features[f"{TEST}/features"] = vectors
    numbers, tables = evaluate(
        scores,
        score_summary,
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
        held_out={name: scores[f"{HELD_OUT}/{name}"] for name in score_summary["thresholds"]},
        scores=scores,
        thresholds=score_summary["thresholds"],
        members=score_summary["members"],
        missing=score_summary["missing"],
        temperature=score_summary["temperature"],
        metrics=numbers,
        cross=CrossConformal(folds=FOLDS, tests_itself=tests_itself) if cross else None,
        learning_curve=curve,
    )
    settings = Settings(
        seed=seed,
        lambda_=values.lambda_,
        network=kind_of(values.network, values.backbone),
        normal=values.normal.path,
        anomaly=values.anomaly.path,
        images=values.images,
        combined=values.combined,
        combination=rule_of(is_frozen=frozen),
        calibration=calibration,
        bundle=values.bundle,
    )
    bundle = build_bundle(fitted, settings, where=Path(heading("settings")))
    parameters = values.model_copy(update={"calibration": calibration})
    page = report_page(
        scores,
        score_summary,
        manifest=manifest,
        images={
            kind: images_of(test_part if kind == "normal" else f"{kind}/test")
            for kind in ("normal", "anomaly")
            if kind == "normal" or f"{kind}/test/labels" in labels
        },
        numbers=numbers,
        tables=tables,
        options=values.evaluate,
        parameters=parameters.model_dump(by_alias=True),
        assessment=bundle.manifest.assessment,
        tests_itself=bundle.manifest.tests_itself,
    )
    uses = bundle.manifest.uses
    # Autoencoder and head cannot be trained without a fold, as a model does not contain the images.
    learning = None
    if not (cross and {*CODED, *stored_in("head")}.intersection(uses)):
        predicted = scores[f"{HELD_OUT}/predicted"]
        learning = LearningData.of_fit(features, embeddings, values, uses=uses, predicted=predicted)
    return bundle, page, learning


def _reachable(
    calibration: CalibrationSection, n: int, *, lowers_promise: bool
) -> CalibrationSection:
    """Return the section with alpha raised, if necessary, to the minimum for n images.

    Raises:
        InputError: alpha is below the minimum, and `lowers_promise` is False.
    """
    least = least_alpha(n, calibration.guarantee)
    if calibration.alpha >= least:
        return calibration
    if not lowers_promise:
        least_count = least_to_calibrate(calibration.alpha, calibration.guarantee)
        raise InputError(
            f"alpha {calibration.alpha:g} needs at least {least_count} images to calibrate, "
            f"got {n}; the smallest possible alpha is {least:g}"
        )
    say(f"alpha {least:g} is used, the smallest that {n} images can calibrate")
    return calibration.model_copy(update={"alpha": least})


def _images(values: Parameters, announce: Callable[[str], None], *, cross: bool) -> Result:
    """Return the images of every part, and their manifest as the bytes of a CSV table."""
    announce("pack")
    folders = [values.normal.path, values.anomaly.path, values.unseen.path]
    packs = pack_all(folders, options=values.images)
    for folder, packed in packs.items():
        limit = values.images.max_bad_fraction
        check_enough(packed, Path(folder), max_bad_fraction=limit, list_name=LISTED_BY_CHECK)
        if bad := len(packed.unreadable):
            count = bad + len(packed.data.labels)
            say(f"{folder}: {bad} of {count} images cannot be read; {LISTED_BY_CHECK} lists them")
    announce("split")
    parts = split(
        {folder: packed.data for folder, packed in packs.items()},
        {"normal": values.normal, "anomaly": values.anomaly, "unseen": values.unseen},
        options=values.split,
        alpha=values.calibration.alpha,
        guarantee=values.calibration.guarantee,
        seed=values.seed,
        least_classes=1,
        cross=cross,
    )
    if repeats := left_out(parts.manifest):
        say(f"{len(parts.manifest):,} images{repeats}; {LISTED_BY_CHECK} lists them")
    table = parts.manifest[COLUMNS].to_csv(index=False).encode()
    arrays = parts.arrays | {"manifest": np.frombuffer(table, np.uint8)}
    return arrays, {"class_names": list(parts.class_names)}


def _table(content: np.ndarray) -> pd.DataFrame:
    """Return the manifest; all columns are text, except `is_anomaly`, which is bool."""
    table = pd.read_csv(io.BytesIO(content.tobytes()), dtype=str, na_filter=False)
    return table.assign(is_anomaly=table["is_anomaly"] == "True")


def _of_kinds(arrays: Arrays, name: str) -> dict[str, np.ndarray]:
    """Return kind -> the array `KIND/NAME`, for the kinds in `arrays`."""
    kinds = ("normal", "anomaly")
    return {kind: arrays[f"{kind}/{name}"] for kind in kinds if f"{kind}/{name}" in arrays}
