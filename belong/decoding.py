"""Decode image files on several threads, a little ahead of whoever takes them, in order."""

import warnings
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from belong.forms import Form, formed
from belong.image_files import UnreadableError, read_image
from belong.incoming import NOT_PIXELS
from belong.manifest import ImageForm

AHEAD = 2  # batches in memory: one at work, one being decoded
AT_ONCE = 8  # files that a thread takes at a time


def decode(path: Path, form: ImageForm) -> np.ndarray | str:
    """Return the pixels (ch, h, w) uint8 of a file in this form, or why it has none."""
    if path.suffix.lower() in NOT_PIXELS:
        return f"{path.suffix.lower()} is not read; save it as JPEG or PNG"
    try:
        image = read_image(
            path,
            needed_px=max(form.height, form.width),
            most_pixels=form.max_pixels,
            background=form.background,
        )
    except UnreadableError as error:
        return str(error)
    return formed(image, Form(form.height, form.width, form.color))


def decoded(
    batches: Iterable[Sequence[Path]], form: ImageForm, *, jobs: int
) -> Generator[list[np.ndarray | str]]:
    """Yield of each batch what `decode` says of its files; `jobs` threads decode."""
    waiting: deque[list[Future[list[np.ndarray | str]]]] = deque()
    pool = ThreadPoolExecutor(jobs)

    def several(paths: Sequence[Path]) -> list[np.ndarray | str]:
        return [decode(path, form) for path in paths]

    # Pillow warns of odd notes in files that it reads all the same. The filter holds for all
    # threads, so it is set around them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for batch in batches:
                starts = range(0, len(batch), AT_ONCE)
                waiting.append([pool.submit(several, batch[at : at + AT_ONCE]) for at in starts])
                if len(waiting) == AHEAD:
                    yield [one for some in waiting.popleft() for one in some.result()]
            while waiting:
                yield [one for some in waiting.popleft() for one in some.result()]
        finally:
            pool.shutdown(cancel_futures=True)
