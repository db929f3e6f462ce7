"""Rank the images of a folder without classes by how unusual they are, for `belong find`.

No model is needed. Photos are compared by the embeddings of a pretrained backbone, small gray
images by their pixels. In both cases an autoencoder is fitted to these features.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from belong.commands.check.duplicates import nearly_same, same, units
from belong.commands.find.images import BATCH_NAMES, Images, of_arrays, of_files
from belong.commands.find.methods import METHODS, Strangeness, measure
from belong.commands.find.options import FindOptions
from belong.commands.find.results import (
    NO_PROMISE,
    TABLE,
    check_free,
    run_of,
    save,
    save_unreadable,
    table_of,
)
from belong.commands.fit.backbone_choice import choose_backbone
from belong.commands.fit.plan import is_small_and_grey, network_for
from belong.commands.fit.settings import checked_parameters
from belong.data import idx
from belong.data.dataset import DataSet
from belong.data.decode_pool import Decoder
from belong.data.file_discovery import Incoming, below
from belong.data.image_folder import ImageFiles
from belong.data.image_form import rgb_of
from belong.data.image_reader import heif_without_reader
from belong.data.resize import Form, all_formed
from belong.data.unreadable import none_readable
from belong.models import device as devices
from belong.models.backbones.backbone import Backbone
from belong.models.feature_cache import users_cache
from belong.models.feature_extraction import embed
from belong.parameters import Parameters
from belong.prediction.prediction_files import UNREADABLE
from belong.prediction.scoring_run import links_left_out
from belong.runtime.arguments import as_path, check_place, options_or_default
from belong.runtime.errors import InputError
from belong.runtime.fingerprint import fingerprint
from belong.runtime.process_lock import one_writer
from belong.runtime.storage import load_csv
from belong.runtime.text import counted, on_stderr, printable
from belong.runtime.unfinished import unfinished, unmark

LEAST = 3  # minimum number of different images: two images are equally far from each other
NEIGHBOR = "detectors.code_knn.k"  # the setting that replaces the default
FEW = 50  # with fewer different images the ranking is unreliable


@dataclass(frozen=True)
class FindResult:
    """The images of a folder, ranked.

    Attributes:
        output: the folder of strange.csv, gallery.html and summary.json.
        summary: the content of summary.json: counts, method of comparison, top images.
    """

    output: Path
    summary: Mapping[str, Any]

    def to_pandas(self) -> pd.DataFrame:
        """Return a row for each image, the most unusual first: the table strange.csv.

        Example:
            >>> result = belong.find("digits", "found")
            >>> table = result.to_pandas()
            >>> len(table), int(table["rank"].iloc[0])
            (140, 1)
        """
        return load_csv(self.output / TABLE)


@dataclass(frozen=True)
class Job:
    """The input of a search.

    Attributes:
        folder: as passed by the caller.
        source: the files, or IDX images (n, 1, h, w) uint8 with their names.
        options: as passed by the caller.
        parameters: all parameters.
        backbone: computes the embeddings; None compares pixels.
        form: size and color of the decoded images.
        device: for the computation.
    """

    folder: Path
    source: Incoming | tuple[np.ndarray, list[str]]
    options: FindOptions
    parameters: Parameters
    backbone: Backbone | None
    form: Form
    device: torch.device

    @property
    def features(self) -> str:
        """The features for the comparison, in words."""
        if self.backbone is None:
            return f"pixels, {self.form.height} x {self.form.width}"
        return f"feature vectors of {self.backbone.card.name}"

    def content(self, pixels: np.ndarray) -> np.ndarray:
        """Return the features of images (n, ch, h, w) uint8: the pixels, or embeddings (n, v)."""
        if self.backbone is None:
            return pixels
        if not len(pixels):
            return np.empty((0, sum(self.backbone.card.sizes)), np.float32)
        pixels = all_formed(pixels, self.form)
        vectors = embed(
            self.backbone,
            torch.from_numpy(pixels),
            device=self.device,
            cache=users_cache(),
            jobs=self.options.jobs,
            description=None,
        )
        return vectors.numpy()


@devices.callers_settings()
def find(
    folder: str | PathLike[str],
    output: str | PathLike[str],
    options: FindOptions | None = None,
) -> FindResult:
    """Rank the images of a folder by how unusual each is among the others.

    No model and no classes are needed. The result is a ranking without verdicts. After an
    interruption the same call resumes.

    Args:
        folder: images, also in subfolders, or IDX files.
        output: folder for strange.csv, gallery.html, unreadable.csv, ignored.csv and summary.json.
        options: the backbone and other choices; the defaults of `belong find` if None.

    Returns:
        The images, ranked.

    Raises:
        InputError: the folder, `output` or an option is invalid, or the folder has fewer than three
            different images.
        TooManyBadFilesError: no image can be read.

    Example:
        >>> result = belong.find("digits", "found")
        >>> sorted(path.name for path in result.output.iterdir())
        ['gallery.html', 'ignored.csv', 'strange.csv', 'summary.json', 'unreadable.csv']
    """
    folder, output = as_path("folder", folder), as_path("output", output)
    options = options_or_default(options, FindOptions)
    start = time.perf_counter()
    check_place(output)
    check_free(output, folder, overwrite=options.overwrite)
    job = prepare(folder, options)
    on_stderr(f"{printable(folder)}: images are compared by {job.features}")
    with one_writer(output / TABLE, on_stderr):
        check_free(output, folder, overwrite=options.overwrite)  # another run may have ended
        with unfinished(output, run_of(folder), BATCH_NAMES) as batch_folder:
            images = _read(job, batch_folder, output)
            try:
                unit, exact = _units(images, printable(folder))
            except InputError:  # the same images would be refused again: nothing to resume
                unmark(output, BATCH_NAMES)
                raise
            table = table_of(images, unit, _measure(job, images, unit))
            summary = _summary(job, images, table, exact)
            summary["seconds"] = round(time.perf_counter() - start, 3)
            save(output, table, images, summary=summary, top=options.top)
    return FindResult(output, summary)


def prepare(folder: Path, options: FindOptions) -> Job:
    """Collect the images and load the backbone.

    Raises:
        InputError: the folder or an option is invalid.
    """
    settings = dict(options.settings)
    values = checked_parameters(settings)
    devices.compute_repeatably(values.threads, values.math)
    source = _look(folder, follow_links=options.follow_links)
    data = _as_one_class(folder, source)
    backbone = choose_backbone(options.request, data, settings, values)
    _, side_px, _ = network_for(data, None if backbone is None else backbone.card)
    if isinstance(data, DataSet) and backbone is None:
        form = Form.of(data.images)
    else:
        is_grey = backbone is None and isinstance(data, ImageFiles) and is_small_and_grey(data)
        form = Form(side_px, side_px, "grey" if is_grey else "rgb")
    device = devices.choose(values.device)
    return Job(folder, source, options, values, backbone, form, device)


def _look(folder: Path, *, follow_links: bool) -> Incoming | tuple[np.ndarray, list[str]]:
    """Return the image files of a folder, or the images of its IDX files."""
    if not folder.exists():
        raise InputError(f"{printable(folder)}: no such folder")
    if files := idx.image_files(folder):
        return idx.read_images(files)
    if not folder.is_dir():
        raise InputError(
            f"{printable(folder)}: expected a folder with images or IDX files, got a file"
        )
    incoming = below(folder, follow_links=follow_links)
    for line in (heif_without_reader(map(incoming.path, incoming.files)), links_left_out(incoming)):
        if line:
            on_stderr(line)
    return incoming


def _as_one_class(
    folder: Path, source: Incoming | tuple[np.ndarray, list[str]]
) -> DataSet | ImageFiles:
    """Return images as a data set of one class, for choosing a network."""
    n = len(source.files if isinstance(source, Incoming) else source[1])
    labels, is_test = np.zeros(n, np.int64), np.zeros(n, bool)
    if isinstance(source, Incoming):
        return ImageFiles(folder, list(map(Path, source.files)), labels, ("",), is_test, [])
    return DataSet(source[0], labels, ("",), is_test, np.array(source[1]))


def _read(job: Job, batch_folder: Path, output: Path) -> Images:
    """Read all images; if no image can be read, unreadable.csv has the reasons.

    Raises:
        TooManyBadFilesError: no image can be read.
    """
    if not isinstance(job.source, Incoming):
        return of_arrays(*job.source, content=job.content)
    options = job.parameters.images
    facts = {
        "form": [job.form.height, job.form.width, job.form.color],
        "options": options.model_dump(),
        "backbone": None if job.backbone is None else job.backbone.digest,
    }
    images = of_files(
        job.source,
        Decoder(job.form, rgb_of(options.background), options.max_pixels),
        content=job.content,
        batch_folder=batch_folder,
        run=fingerprint(facts, job.device),
        jobs=job.options.jobs,
    )
    if not images.names:
        save_unreadable(output, images)
        raise none_readable(job.folder, images.unreadable, listed=output / UNREADABLE)
    return images


def _units(images: Images, folder: str) -> tuple[np.ndarray, int]:
    """Number the distinct images, and count the images with different pixels.

    Near duplicates count as one image: an unusual image would otherwise have its own copy as
    nearest neighbor. If a group of near duplicates has more than half of the images, such as the
    frames of a film, only equal pixels count as copies within the group.

    Returns:
        The number of the distinct image, 0..m-1, of each of the n images: (n,); and the number of
        images with different pixels.

    Raises:
        InputError: fewer than `LEAST` images are different.
    """
    digests = np.array([row.tobytes() for row in images.digests], object)
    first, exact = units(same(digests))
    if len(first) < LEAST:
        n = len(images.names)
        raise InputError(
            f"{folder}: has {counted(n, 'readable image')}, {len(first)} different; expected at "
            f"least {LEAST} to compare"
        )
    near = nearly_same(images.thumbnails[first])
    sizes = np.bincount(near[near >= 0])
    usual = np.flatnonzero(sizes > len(first) / 2)
    _, unit = units(np.where(np.isin(near, usual), -1, near))
    if unit.max() + 1 < LEAST:
        return exact, len(first)
    return unit[exact], len(first)


def _measure(job: Job, images: Images, unit: np.ndarray) -> Strangeness:
    """Score each of the m distinct images among the others."""
    on_stderr("four methods: " + ", ".join(one.heading.lower() for one in METHODS.values()))
    _, first = np.unique(unit, return_index=True)
    return measure(
        images.content[first],
        job.parameters,
        last=0 if job.backbone is None else job.backbone.card.sizes[-1],
        device=job.device,
        jobs=job.options.jobs,
        k=job.parameters.detectors.code_knn.k if NEIGHBOR in job.options.settings else None,
    )


def _summary(job: Job, images: Images, table: pd.DataFrame, exact: int) -> dict[str, Any]:
    """Return the content of summary.json, without the duration.

    `exact` is the number of images with different pixels.
    """
    distinct = int(table["unit"].nunique())
    notes = []
    if distinct < FEW:
        notes.append(
            f"{counted(distinct, 'different image')} say little about what is usual in the folder; "
            f"with fewer than {FEW} the order is a first guess."
        )
    if job.backbone is None and job.form.channels == 3:
        notes.append(
            "Without a pretrained backbone, photos are compared by their colors and layout alone."
        )
    first = table.drop_duplicates("unit").head(job.options.top)
    return {
        "source": printable(job.folder),
        "images": len(images.names),
        "unreadable": len(images.unreadable),
        "ignored": len(images.ignored),
        "distinct": distinct,
        "same_pixels": len(images.names) - exact,
        "features": job.features,
        "backbone": None if job.backbone is None else job.backbone.card.name,
        "methods": {name: method.words for name, method in METHODS.items()},
        "promise": None,
        "reason": NO_PROMISE,
        "notes": notes,
        "strangest": [
            {
                "rank": int(row["rank"]),
                "path": str(row["path"]),
                "score": round(float(row["score"]), 6),
            }
            for row in first.to_dict("records")
        ],
        "seed": job.parameters.seed,
    }
