"""Load a fitted model, and predict images with it."""

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from io import IOBase
from os import PathLike
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import numpy as np
from PIL import Image

from belong.calibration.sample_size import Guarantee
from belong.calibration.verdict_rule import VerdictRule
from belong.data.decode_pool import Answers, Picture, decoded
from belong.data.file_discovery import below
from belong.data.image_form import ImageForm
from belong.data.image_reader import frames_of, plain_image
from belong.data.resize import Form, formed
from belong.data.unreadable import UnreadableError
from belong.prediction.bundle import Bundle
from belong.prediction.manifest import Manifest
from belong.prediction.model_card import card
from belong.prediction.predictions import Predictions, Scores, predictions_of
from belong.prediction.rule_of_model import is_reported, reporting_rule, rule_for, rule_of
from belong.prediction.scoring_options import ScoringOptions
from belong.runtime.arguments import as_path, check_choice, refuse
from belong.runtime.errors import InputError
from belong.runtime.parallel import in_order
from belong.runtime.text import harmless, in_table, printable

if TYPE_CHECKING:
    import torch
    from torch import nn

    from belong.prediction.predictor import Predictor

T = TypeVar("T")
# A function of the readable files of a batch with their pictures, and of their scores.
Observer = Callable[[Mapping[str, Picture], Scores], None]

# Compute threads per batch, as in the pipeline, so that results are bit-identical.
THREADS = 1
AT_ONCE = 8  # maximum number of batches in memory
DEVICES = ("auto", "cpu", "cuda")
CHANNELS = (1, 3, 4)  # grayscale, RGB, RGBA
ImagePath: TypeAlias = str | PathLike[str]
Pixels: TypeAlias = Image.Image | np.ndarray
Images: TypeAlias = ImagePath | Pixels | Sequence[ImagePath] | Sequence[Pixels]


@dataclass(frozen=True, eq=False)
class Model:
    """A fitted model; `belong.load_model` and `belong.fit` return it.

    The networks are built at the first prediction, once.

    Attributes:
        bundle: the arrays and the manifest.
        folder: the folder of the model, as you named it.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.
        backbone: your torch module, if the model was fitted on one.
        absolute_folder: the absolute path of the folder.

    Example:
        >>> model = belong.load_model("model")
        >>> model.class_names
        ('cat', 'dog')
        >>> model.alpha, model.n_calibration, model.detector
        (0.025, 40, 'energy')
        >>> model.image_shape
        (28, 28, 1)
    """

    bundle: Bundle = field(repr=False)
    folder: Path
    device: str = "auto"
    backbone: "nn.Module | None" = field(default=None, repr=False)
    absolute_folder: Path = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "absolute_folder", self.folder.absolute())

    @property
    def info(self) -> Manifest:
        """The manifest: training data, settings and measured errors, as frozen fields.

        Example:
            >>> belong.load_model("model").info.measured.accuracy
            0.5
        """
        return self.bundle.manifest

    @property
    def card(self) -> str:
        """The model card, as `belong info` prints it.

        Example:
            >>> print(belong.load_model("model").card.splitlines()[1])
            classes           2: cat, dog
        """
        calibration = self.bundle.arrays["calibration"].get(self.detector)
        guarantee = None if calibration is None else rule_of(self.bundle).sentence(self.class_names)
        return harmless(card(self.info, printable(self.folder), guarantee))

    @property
    def class_names(self) -> tuple[str, ...]:
        """The c classes, in the order of the logits."""
        return tuple(self.info.class_names)

    @property
    def alpha(self) -> float:
        """The promised false-rejection rate, between 0 and 1."""
        return self.info.alpha

    @property
    def guarantee(self) -> Guarantee:
        """The scope of alpha: "marginal", "training-conditional" or "per-class"."""
        return self.info.guarantee

    @property
    def n_calibration(self) -> int:
        """The number of images that calibrate the threshold."""
        return self.info.n_calibration

    @property
    def detector(self) -> str:
        """The name of the detector that decides."""
        return self.info.detector

    @property
    def threshold(self) -> float:
        """The score up to which an image belongs."""
        return self.info.threshold

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the images after resizing."""
        form = self.info.form
        return form.height, form.width, form.channels

    @cached_property
    def torch_device(self) -> "torch.device":
        """The device that the networks compute on.

        Raises:
            InputError: there is no GPU.
        """
        from belong.models import device  # imported here: torch takes more than a second

        return device.choose(self.device)

    @cached_property
    def predictor(self) -> "Predictor":
        """The networks and detectors, built once.

        Raises:
            InputError: there is no GPU, or `backbone` is not the module that the model was fitted
                on.
            IntegrityError: the arrays do not fit together.
        """
        from belong.models.feature_cache import users_cache  # imported here, as above
        from belong.prediction.predictor import Predictor

        network = None
        if self.backbone is not None:
            from belong.models.backbones.catalog import own_backbone  # timm takes two seconds

            network = own_backbone(self.backbone)
        return Predictor(
            self.bundle, device=self.torch_device, backbone=network, cache=users_cache()
        )

    def predict(
        self,
        images: Images,
        *,
        batch_size: int = 256,
        jobs: int | None = None,
        follow_links: bool = False,
        alpha: float | None = None,
        guarantee: Guarantee | None = None,
        fdr: float | None = None,
    ) -> Predictions:
        """Predict the class of each image, and whether it belongs.

        The verdicts are those of `belong score`: an image in memory has the verdict of a PNG file
        with the same pixels. A JPEG file is decoded at 1/2, 1/4 or 1/8 of its size if that is
        enough, so its score may differ from that of the same image opened with PIL. If a file has
        several frames, the first is scored; for a PIL image, the current one. A PIL image of mode I
        or I;16 has the values of 16 bits, 0 to 65535; of mode F, white is unknown, so it counts as
        unreadable. An unreadable file or image has a row with the reason.

        Args:
            images: a folder, searched with its subfolders; a file; a list of files; a PIL image or
                a list of PIL images; or uint8 pixels: one image (h, w) or (h, w, ch), n images
                (n, h, w) or (n, h, w, ch), or a list of single images. ch is 1, 3 (RGB) or 4
                (RGBA). An array of three axes is one image if its last axis has length 1, 3 or 4,
                and n grayscale images otherwise. Each image is resized and cropped for the model.
            batch_size: images per batch.
            jobs: decoding processes and scoring threads; None: one per processor.
            follow_links: whether to follow links that lead out of a folder.
            alpha: false-rejection rate; the model's own if None.
            guarantee: scope of alpha: "marginal" (on average over calibration sets),
                "training-conditional" (with 95% certainty for this calibration set) or "per-class"
                (for each predicted class); the model's own if None. See `docs/calibration.md`.
            fdr: instead of both, between 0 and 1: the largest expected share of images that belong
                among the rejected images of this call. The verdict of an image then depends on the
                others.

        Returns:
            A row for each of the n images, in the order of the input; for a folder, in the order of
            the sorted paths, with links and folders that are not read at the end. Each column is an
            array (n,): `belongs` and `is_readable` bool; `p_value` float64; `probability`, `score`
            and `distance` float32; `path`, `label`, `nearest_class`, `detector` and `reason` str
            (dtype object). Of an unreadable file, `is_readable` and `belongs` are False, `reason`
            has the reason, numbers are NaN and other names empty. No error is raised if all files
            are unreadable. An empty list gives no rows.

        Raises:
            InputError: the file or folder is missing, or the folder has no image; an array has
                another shape or type; an option is out of range, or `fdr` is combined with `alpha`
                or `guarantee`; there is no GPU; the calibration images are too few for `alpha` or
                `fdr`; the model needs your `backbone`. It is a `ValueError`.
            IntegrityError: the arrays of the model do not fit together.

        Example:
            >>> import numpy as np
            >>> from PIL import Image
            >>> model = belong.load_model("model")
            >>> predictions = model.predict("photos", alpha=0.3)
            >>> for image in predictions:
            ...     print(image.path, image.belongs, f"{image.p_value:.2f}")
            a.png False 0.27
            b.png True 0.54
            broken.png False nan
            >>> predictions.reason[2]
            'empty: 0 bytes'
            >>> is_rejected = predictions.is_readable & ~predictions.belongs
            >>> predictions.path[is_rejected].tolist()
            ['a.png']
            >>> # A list of files, a PIL image and an array have the same scores.
            >>> files = ["photos/b.png", "photos/a.png"]
            >>> of_files = model.predict(files).score
            >>> with Image.open("photos/a.png") as image:
            ...     of_image, of_array = model.predict(image), model.predict(np.asarray(image))
            >>> bool(of_files[1] == of_image.score[0] == of_array.score[0])
            True
            >>> of_files.shape, of_files.dtype
            ((2,), dtype('float32'))
            >>> model.predict(np.zeros((5, 28, 28, 3), np.uint8)).label.shape
            (5,)
            >>> # The calibration images cannot promise every rate.
            >>> model.predict("photos", alpha=0.01)
            Traceback (most recent call last):
            ...
            belong.runtime.errors.InputError: alpha 0.01 needs at least 99 calibration images,
            got 40; the smallest possible alpha is 0.0244
        """
        options = ScoringOptions(
            os.cpu_count() or 1 if jobs is None else jobs,
            batch_size,
            follow_links=follow_links,
            alpha=alpha,
            guarantee=guarantee,
            fdr=fdr,
        )
        rule = rule_for(self.bundle, options)
        names, answers, unread = _decoded(images, self.info.form, options)
        size, stopped = options.batch_size, Event()
        starts = range(0, len(names), size)
        with closing(answers):
            tasks = (
                partial(
                    predict_batch,
                    names[at : at + size],
                    batch,
                    predictor=self.predictor,
                    rule=rule,
                    stopped=stopped,
                )
                for at, batch in zip(starts, answers, strict=True)
            )
            threads = threads_for(self.torch_device, options.jobs)
            parts = list(in_threads(tasks, threads=threads, stopped=stopped))
        paths, reasons = [in_table(path) for path, _ in unread], [why for _, why in unread]
        unreadable = predictions_of(paths, reasons, None, self.class_names)
        predictions = Predictions.joined([*parts, unreadable])
        if fdr is None:
            return predictions
        p_values = predictions.p_value[predictions.is_readable]
        reported = is_reported(reporting_rule(rule, p_values, fdr), predictions.p_value)
        return predictions.with_verdicts(~reported)


def load_model(
    folder: ImagePath, *, device: str = "auto", backbone: "nn.Module | None" = None
) -> Model:
    """Load a model written by `belong.fit`, `belong fit` or the pipeline.

    Args:
        folder: the folder of the model.
        device: "cpu", "cuda", or "auto" for a GPU if there is one.
        backbone: your torch module, if the model was fitted on one: a model stores the weights of
            the module, but not its code.

    Returns:
        The model, after a check of the SHA-256 of every file.

    Raises:
        InputError: the folder is missing or holds no model, `device` is unknown, or `backbone` is
            not a torch module.
        IntegrityError: the model is damaged, or its format is unknown to this version.

    Example:
        >>> belong.load_model("model").class_names
        ('cat', 'dog')
        >>> belong.load_model("photos")
        Traceback (most recent call last):
        ...
        belong.runtime.errors.InputError: photos: expected the folder of a model, got no
        manifest.json
    """
    check_choice("device", device, DEVICES)
    path = as_path("folder", folder)
    backbone_bytes = 0
    if backbone is not None:
        from torch import nn  # imported here, as above

        if not isinstance(backbone, nn.Module):
            refuse("backbone", "the torch module that the model was fitted on", backbone)
        backbone_bytes = sum(x.nbytes for x in backbone.state_dict().values())
    return Model(Bundle.load(path, own_bytes=backbone_bytes), path, device, backbone)


# --- images in batches --------------------------------------------------------------------------


def predict_batch(
    files: Sequence[str],
    answers: Answers,
    *,
    predictor: "Predictor",
    rule: VerdictRule,
    stopped: Event,
    observe: Observer | None = None,
) -> Predictions:
    """Return the predictions for decoded files; `answers` has one entry per file."""
    both = zip(files, answers, strict=True)
    readable = [(file, answer) for file, answer in both if not isinstance(answer, str)]
    scores = None
    if readable:
        pixels = np.stack([picture.pixels for _, picture in readable])
        scores = predictor.score(pixels, stopped=stopped).by(rule)
        if observe:
            observe(dict(readable), scores)
    return predictions_of(
        [in_table(file) for file in files],
        [answer if isinstance(answer, str) else answer.frames for answer in answers],
        scores,
        predictor.manifest.class_names,
    )


def threads_for(device: "torch.device", jobs: int) -> int:
    """Return the number of batches in parallel: one on a GPU, up to `jobs` on a CPU."""
    return min(jobs, os.cpu_count() or 1, AT_ONCE) if device.type == "cpu" else 1


def in_threads(tasks: Iterable[Callable[[], T]], *, threads: int, stopped: Event) -> Generator[T]:
    """Run tasks in threads, and yield their results in order.

    If the generator is closed early, no further task starts, and `stopped` is set for running ones.
    """
    from belong.models.device import use_threads  # imported here: files are decoded meanwhile

    with ThreadPoolExecutor(threads, initializer=use_threads, initargs=(THREADS,)) as pool:
        try:
            for _, future in in_order(pool.submit, tasks, ahead=threads + 1):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            stopped.set()
            raise


# --- the input of `predict` ---------------------------------------------------------------------


Decoded = tuple[list[str], Generator[Answers], list[tuple[str, str]]]


def _decoded(images: Images, form: ImageForm, options: ScoringOptions) -> Decoded:
    """Return the names of the images, their pixels in batches, and the folders left out."""
    if isinstance(images, str | PathLike):
        path = as_path("images", images)
        if path.is_dir():
            incoming = below(path, follow_links=options.follow_links)
            paths = [incoming.path(file) for file in incoming.files]
            return incoming.files, _of_files(paths, form, options), incoming.shut
        if not (path.exists() or path.is_symlink()):
            raise InputError(f"{printable(path)}: no such file or folder")
        images = [path]
    if isinstance(images, np.ndarray) and images.dtype.kind in "OU":  # paths, or images
        images = images.ravel().tolist()
    if isinstance(images, np.ndarray | Image.Image):
        images = _single_images(images)
    is_other = isinstance(images, bytes | Mapping | Set | IOBase) or hasattr(images, "columns")
    if is_other or not isinstance(images, Iterable):
        raise InputError(
            f"images: expected a folder, a list of paths, PIL images or arrays, or an array, got "
            f"{_type(images)}"
        )
    images = list(images)
    is_path = [isinstance(one, str | PathLike) for one in images]
    if images and all(is_path):
        files = [as_path(f"images[{place}]", one) for place, one in enumerate(images)]
        return [str(file) for file in files], _of_files(files, form, options), []
    if any(is_path):
        raise InputError(
            f"images: expected only paths, or only PIL images and arrays, got a path at position "
            f"{is_path.index(True)} and {_type(images[is_path.index(False)])} at position "
            f"{is_path.index(False)}"
        )
    pictures = [
        _picture(f"images[{place}]" if images[1:] else "images", one)
        for place, one in enumerate(images)
    ]
    names = [str(place) for place in range(len(pictures))]
    return names, _of_pictures(pictures, form, options.batch_size), []


def _of_files(paths: list[Path], form: ImageForm, options: ScoringOptions) -> Generator[Answers]:
    size = options.batch_size
    batches = (paths[at : at + size] for at in range(0, len(paths), size))
    return decoded(batches, form, jobs=options.jobs)


def _of_pictures(
    pictures: list[Image.Image], form: ImageForm, batch_size: int
) -> Generator[Answers]:
    for at in range(0, len(pictures), batch_size):
        yield [_answer(picture, form) for picture in pictures[at : at + batch_size]]


def _answer(picture: Image.Image, form: ImageForm) -> Picture | str:
    """Return the pixels of an image, in the form of `Decoder.decode`."""
    try:
        image = plain_image(picture, max_pixels=form.max_pixels, background=form.background)
    except UnreadableError as error:
        return str(error)
    pixels = formed(image, Form(form.height, form.width, form.color))
    frames = 1 if picture.format == "MPO" else frames_of(picture)  # as `Decoder.decode` does
    return Picture(pixels, frames)


def _single_images(images: Pixels) -> Sequence[Pixels]:
    """Return the single images of one image, or of an array of several."""
    if isinstance(images, Image.Image) or images.ndim <= 2:
        return [images]
    is_one = images.ndim == 3 and images.shape[-1] in CHANNELS
    if (
        images.dtype != np.uint8
        or images.ndim > 4
        or (images.ndim == 4 and images.shape[-1] not in CHANNELS)
    ):
        raise InputError(
            f"images: expected uint8 of shape (h, w), (h, w, ch), (n, h, w) or (n, h, w, ch) with "
            f"ch 1, 3 or 4, got {images.dtype} of shape {images.shape}"
        )
    return [images] if is_one else list(images)


def _picture(name: str, image: object) -> Image.Image:
    """Convert one image in memory to Pillow; `name` is for messages."""
    if isinstance(image, Image.Image):
        return image
    if not isinstance(image, np.ndarray):
        raise InputError(f"{name}: expected a path, a PIL image or an array, got {_type(image)}")
    is_image = image.ndim == 2 or (image.ndim == 3 and image.shape[-1] in CHANNELS)
    if image.dtype != np.uint8 or not is_image or not image.size:
        raise InputError(
            f"{name}: expected uint8 of shape (h, w) or (h, w, ch) with ch 1, 3 or 4, got "
            f"{image.dtype} of shape {image.shape}"
        )
    grey = image.ndim == 3 and image.shape[-1] == 1
    return Image.fromarray(np.ascontiguousarray(image[..., 0] if grey else image))


def _type(value: object) -> str:
    return type(value).__name__
