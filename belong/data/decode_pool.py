"""Decode image files in several processes, ahead of their consumer, and yield them in order.

Decoding small files is mostly Python code, so threads would wait for each other, for the import of
torch and for the networks. `belong.data.isolation` limits the time and memory of each file.
"""

import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self, TypeVar

import numpy as np

from belong.data.image_reader import Rgb, read_file
from belong.data.isolation import Workers, each_item
from belong.data.resize import Form, formed
from belong.data.thumbnail import SMALL_PX, thumbnail
from belong.data.unreadable import UnreadableError
from belong.runtime.parallel import in_order
from belong.runtime.progress import bar

if TYPE_CHECKING:
    from belong.data.image_form import ImageForm  # its import takes 0.1 s in each process

T = TypeVar("T")
R = TypeVar("R")

AHEAD = 2  # batches in memory: one in use, one being decoded
AHEAD_BYTES = 2**24  # more batches are in memory if their pixels take at most this
AT_ONCE = 32  # maximum number of files per task of a process
FEW = 32  # up to this number of files, fewer processes are started
FEW_AT_ONCE = 8  # files per process in this case


class Picture(NamedTuple):
    """The decoded content of a file, in the input form of a model.

    Attributes:
        pixels: (ch, h, w) uint8, of the first frame.
        frames: number of frames in the file.
        thumbnail: a JPEG of the uncropped photo; empty for small images, or if not requested.
        is_photo: whether the file is larger than SMALL_PX, so that a page shows a thumbnail.
    """

    pixels: np.ndarray
    frames: int
    thumbnail: bytes = b""
    is_photo: bool = False


Answers = list[Picture | str]  # for an unreadable file, the reason


@dataclass(frozen=True)
class Decoder:
    """Decode files to the input pixels of a model.

    Attributes:
        form: size and color of the pixels.
        background: color behind transparent pixels.
        max_pixels: larger images are refused.
        thumbnail_px: longer side of the thumbnails, one of SIDES_PX; 0 for none.
    """

    form: Form
    background: Rgb
    max_pixels: int
    thumbnail_px: int = 0

    @classmethod
    def of(cls, form: "ImageForm", *, thumbnail_px: int = 0) -> Self:
        """Return the decoder for the form of a model."""
        size = Form(form.height, form.width, form.color)
        return cls(size, form.background, form.max_pixels, thumbnail_px)

    def decode(self, path: Path) -> Picture | str:
        """Return the pixels of a file, or the reason for its failure."""
        read = partial(read_file, path, max_pixels=self.max_pixels, background=self.background)
        try:
            content = read(needed_px=max(self.form.height, self.form.width))
        except UnreadableError as error:
            return str(error)
        # Many cameras write a second picture after a JPEG, which does not count as a frame.
        frames = 1 if content.kind == "MPO" else content.frames
        small, is_photo = b"", max(content.size) > SMALL_PX
        if self.thumbnail_px and is_photo:
            # A JPEG that was decoded smaller than its thumbnail is decoded again, so that the
            # scored pixels do not depend on the gallery.
            full_image = content.image
            if max(full_image.size) < min(self.thumbnail_px, max(content.size)):
                with suppress(UnreadableError):
                    full_image = read(needed_px=self.thumbnail_px).image
            small = thumbnail(full_image, side_px=self.thumbnail_px)
        return Picture(formed(content.image, self.form), frames, small, is_photo)


def timed(decoder: Decoder, path: Path) -> tuple[float, Picture | str]:
    """Return the decoding time of a file in seconds, and its result."""
    start = time.perf_counter()
    answer = decoder.decode(path)
    return time.perf_counter() - start, answer


def each_file(
    work: Callable[[T], R], items: Sequence[T], what: str, *, jobs: int | None = None
) -> Generator[R | str]:
    """Yield `work(item)` of each item, which names a file, and show progress; see `each_item`.

    `what` labels the progress bar.
    """
    with (
        bar(len(items), what, "image") as progress,
        closing(each_item(work, items, jobs=jobs, count=len(items))) as answers,
    ):
        for answer in answers:
            yield answer
            progress.update()


def decoded(
    batches: Iterable[Sequence[Path]], form: "ImageForm", *, jobs: int, thumbnail_px: int = 0
) -> Generator[Answers]:
    """Yield the pictures of each batch of files.

    Args:
        batches: the files; the next batches are decoded ahead.
        form: the input form of the model.
        jobs: number of decoding processes; fewer for few files.
        thumbnail_px: see `Decoder`.
    """
    remaining_batches = iter(batches)
    first: list[Sequence[Path]] = []
    while sum(map(len, first)) <= FEW and (batch := next(remaining_batches, None)) is not None:
        first.append(batch)
    files = sum(map(len, first))
    if files <= FEW:
        jobs = min(jobs, max(1, files // FEW_AT_ONCE))
    size = max(map(len, first), default=1)
    step = max(1, min(AT_ONCE, size // (2 * jobs)))
    ahead = max(AHEAD * size, AHEAD_BYTES // (form.channels * form.height * form.width))
    workers = Workers(Decoder.of(form, thumbnail_px=thumbnail_px).decode, jobs)
    images = _in_order(
        chain(first, remaining_batches), workers, step=step, pieces=-(-ahead // step)
    )
    next(images)  # start decoding
    return images


class _Piece(NamedTuple):
    """Files of one batch for a single task of a process."""

    paths: Sequence[Path]
    is_last: bool  # whether it is the last piece of its batch


def _in_order(
    batches: Iterable[Sequence[Path]],
    workers: Workers[Path, Picture | str],
    *,
    step: int,
    pieces: int,
) -> Generator[Answers]:
    """Start decoding, yield an empty list, and then yield the pictures of each batch.

    Args:
        batches: the files.
        workers: decode the files.
        step: number of files per piece.
        pieces: number of pieces in memory.
    """
    all_pieces = (
        _Piece(batch[at : at + step], at + step >= len(batch))
        for batch in batches
        for at in range(0, len(batch), step)
    )
    with closing(workers):
        futures = in_order(lambda piece: workers.submit(piece.paths), all_pieces, ahead=pieces)
        yield []
        answers: Answers = []
        for piece, future in futures:
            answers += future.result()
            if piece.is_last:
                yield answers
                answers = []
