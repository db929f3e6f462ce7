"""Write `gallery.html` beside the tables of `belong score`."""

import itertools
import json
import shlex
from collections.abc import Mapping
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from belong.calibration.sample_size import MARGINAL
from belong.data.decode_pool import decoded
from belong.data.file_discovery import Incoming
from belong.data.thumbnail import side_for, thumbnail
from belong.prediction.bundle import Arrays
from belong.prediction.manifest import Manifest
from belong.prediction.model import Model
from belong.prediction.nearest_training_images import nearest_training_images
from belong.prediction.prediction_files import PREDICTIONS, SUMMARY
from belong.prediction.scoring_options import ScoringOptions
from belong.prediction.training_thumbnails import unpacked
from belong.reporting.gallery.render import Review, gallery_page
from belong.reporting.gallery.selection import PHOTO_BYTES, photo_px, telling
from belong.reporting.gallery.sprite_sheets import KeptImages, Shown, reduced, shown
from belong.runtime.progress import bar
from belong.runtime.storage import save_text
from belong.runtime.text import exact, percent_of, printable

GALLERY = "gallery.html"
NEIGHBORS = 5
NEAREST_PX = 128  # maximum side of training photos
WORDS = ("path", "class", "nearest_class", "detector", "reason")


def save_gallery(
    incoming: Incoming,
    files: list[str],
    model: Model,
    output: Path,
    options: ScoringOptions,
    *,
    source: str,
    kept_images: KeptImages,
) -> None:
    """Write `gallery.html` beside the tables of the same run.

    Args:
        incoming: all files.
        files: the readable files, in the order of predictions.csv, where the printed names of two
            files may be equal.
        model: the model that scored the files.
        output: the folder with the tables.
        options: the scoring options of the run.
        source: the user's name for the files.
        kept_images: images that need not be decoded again.
    """
    rows = pd.read_csv(
        output / PREDICTIONS, dtype=dict.fromkeys(WORDS, str), keep_default_na=False, na_values=[]
    )
    manifest, training = model.info, model.bundle.arrays["training"]
    guarantee = json.loads((output / SUMMARY).read_text(encoding="utf-8"))["guarantee"]
    threshold = guarantee["threshold"]
    if threshold is None:  # all images belong
        threshold = float(rows["score"].max())
    places = telling(
        rows["score"].to_numpy(),
        threshold=threshold,
        generator=np.random.default_rng(0),  # the same images for the same scores
    ).tolist()
    images: dict[int, Shown] = {}
    features: dict[int, np.ndarray] = {}
    for place in places:
        picture, vector = kept_images.take(files[place])
        if picture is not None:
            images[place] = picture
        if vector is not None:
            features[place] = vector
    missing = [place for place in places if place not in images]
    batches = (
        _as_scored(missing, files, incoming, options.batch_size)
        if len(places) == len(files)
        else _batches(missing, options.batch_size)
    )
    paths = ([incoming.path(files[place]) for place in batch] for batch in batches)
    with (
        bar(len(places), "gallery", "image") as progress,
        closing(
            decoded(paths, manifest.form, jobs=options.jobs, thumbnail_px=photo_px(len(places)))
        ) as answers,
    ):
        progress.update(len(images))
        for batch, answers_of_batch in zip(batches, answers, strict=True):
            pictures = {
                place: answer
                for place, answer in zip(batch, answers_of_batch, strict=True)
                if not isinstance(answer, str)  # a file may have been deleted after scoring
            }
            images |= {place: shown(picture) for place, picture in pictures.items()}
            if unknown := [place for place in pictures if place not in features]:
                pixels = np.stack([pictures[place].pixels for place in unknown])
                features |= zip(unknown, model.predictor.features(pixels), strict=True)
            progress.update(len(batch))
    nearest: dict[int, list[tuple[int, float]]] = {}
    for batch in _batches(sorted(images), options.batch_size):
        of_batch = np.stack([features[place] for place in batch])
        near, distances = nearest_training_images(of_batch, training["features"], most=NEIGHBORS)
        for place, neighbors, far in zip(batch, near.tolist(), distances.tolist(), strict=True):
            nearest[place] = list(zip(neighbors, far, strict=True))
    page = gallery_page(
        rows,
        images,
        nearest,
        _training_pictures(training, nearest),
        [manifest.class_names[label] for label in training["labels"]],
        title=source,
        threshold=threshold,
        facts={
            "detector": manifest.detector,
            "promised rate": percent_of(guarantee["share"]),
            "guarantee": f"{guarantee['in_words']}: {guarantee['sentence']}",
        },
        review=Review(
            model=manifest.digest,
            source=exact(incoming.top),
            class_names=manifest.class_names,
            files=files,
            alpha=_movable_alpha(manifest, options),
            calibration=model.bundle.arrays["calibration"][manifest.detector],
            command=_command(source, model, output),
        ),
    )
    save_text(output / GALLERY, page)


def _movable_alpha(manifest: Manifest, options: ScoringOptions) -> float | None:
    """Return the alpha of the verdicts; None unless each alpha means one calibrated threshold."""
    is_calibrated = options.alpha is not None or manifest.threshold_from == "calibrated"
    is_marginal = (options.guarantee or manifest.guarantee) == MARGINAL
    if options.fdr is not None or not (is_calibrated and is_marginal):
        return None
    return options.alpha or manifest.alpha


def _command(source: str, model: Model, output: Path) -> str:
    """Return the shell command that scores the same images again."""
    images = "-" if source == "standard input" else source
    words = [images, "--model", printable(model.folder), "-o", printable(output), "--overwrite"]
    return shlex.join(["belong", "score", *words])


def _training_pictures(
    training: Arrays, nearest: Mapping[int, list[tuple[int, float]]]
) -> dict[int, Shown]:
    """Return the pictures of the training images in `nearest`, reduced to their displayed size."""
    rows = {place for near in nearest.values() for place, _ in near}
    pictures = unpacked(training)
    side_px = min(NEAREST_PX, side_for(len(rows), budget=PHOTO_BYTES))
    return {place: _smaller(pictures[place], side_px) for place in sorted(rows)}


def _smaller(picture: Shown, side_px: int) -> Shown:
    if not isinstance(picture, bytes):
        return reduced(picture)
    with Image.open(BytesIO(picture), formats=["JPEG"]) as image:
        return picture if max(image.size) <= side_px else thumbnail(image, side_px=side_px)


def _as_scored(
    places: list[int], files: list[str], incoming: Incoming, size: int
) -> list[list[int]]:
    """Group indices by the batches in which they were scored, for bit-identical features.

    The page of an interrupted run then equals that of an uninterrupted run.
    """
    batch_of = {file: number // size for number, file in enumerate(incoming.files)}
    groups = itertools.groupby(places, lambda place: batch_of[files[place]])
    return [list(group) for _, group in groups]


def _batches(places: list[int], size: int) -> list[list[int]]:
    return [places[at : at + size] for at in range(0, len(places), size)]
