"""Read the images of a folder as features for the comparison: pixels, or backbone embeddings.

A digest and a thumbnail of each image identify copies. Image files are read in batches; the result
of each batch is stored until the run has ended.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from belong.commands.check.image_properties import THUMBNAIL_PX, at_array
from belong.data.decode_pool import Decoder, each_file
from belong.data.file_discovery import Incoming
from belong.prediction.scoring_run import batch_states
from belong.runtime.errors import InputError
from belong.runtime.parallel import parallel_map
from belong.runtime.storage import load_about, load_arrays, save_arrays
from belong.runtime.text import in_table

AT_ONCE = 512  # files per batch; an interruption loses at most one batch
BATCH_NAMES = "?" * 64 + ".safetensors"
DIGEST_BYTES = 32

Content = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Images:
    """The n readable images, with the unreadable and ignored files.

    Attributes:
        names: n names, as in the tables.
        sources: n files, or arrays (ch, h, w) uint8, for the page.
        content: (n, ch, h, w) uint8 pixels, or (n, v) float32 embeddings.
        digests: (n, 32) uint8, equal for equal pixels.
        thumbnails: (n, 16, 16) uint8, gray.
        unreadable: (path, reason) of unreadable files.
        ignored: (path, reason) of hidden entries and of files that are no images.
    """

    names: list[str]
    sources: Sequence[Path | np.ndarray]
    content: np.ndarray
    digests: np.ndarray
    thumbnails: np.ndarray
    unreadable: list[tuple[str, str]]
    ignored: list[tuple[str, str]]


class DecodedImage(NamedTuple):
    """The pixels (ch, h, w) uint8 of an image, with its digest and thumbnail."""

    pixels: np.ndarray
    digest: bytes
    thumbnail: np.ndarray


@dataclass(frozen=True)
class Reader:
    """Decode a file and compute its digest and thumbnail."""

    decoder: Decoder

    def read(self, path: Path) -> DecodedImage | str:
        """Return the decoded image, or the reason why the file cannot be read."""
        picture = self.decoder.decode(path)
        return picture if isinstance(picture, str) else summarize(picture.pixels)


def summarize(pixels: np.ndarray) -> DecodedImage:
    """Compute the digest and the thumbnail of an image (ch, h, w) uint8."""
    look = at_array(pixels)
    return DecodedImage(pixels, look.digest, look.thumbnail)


def of_arrays(pixels: np.ndarray, names: list[str], *, content: Content) -> Images:
    """Return the images of an array (n, ch, h, w)."""
    looks = list(parallel_map(summarize, pixels))
    return Images(names, list(pixels), content(pixels), *_identification(looks), [], [])


def of_files(
    incoming: Incoming,
    decoder: Decoder,
    *,
    content: Content,
    batch_folder: Path,
    run: str,
    jobs: int | None,
) -> Images:
    """Read image files.

    Args:
        incoming: the files.
        decoder: decodes a file.
        content: pixels (m, ch, h, w) uint8 -> features for the comparison.
        batch_folder: folder for finished batches.
        run: fingerprint of everything that `content` depends on, except the pixels.
        jobs: number of decoding processes; all processors if None.

    Raises:
        KeyboardInterrupt: with the progress in its message.
    """
    batches = [
        (files, batch_folder / f"{_key(run, state)}.safetensors")
        for files, state in batch_states(incoming, AT_ONCE)
    ]
    results = {path: batch for _, path in batches if (batch := _load(path)) is not None}
    missing = [(files, path) for files, path in batches if path not in results]
    paths = [incoming.path(file) for files, _ in missing for file in files]
    answers = each_file(
        Reader(decoder).read, paths, f"reading {Path(incoming.top).name}", jobs=jobs
    )
    try:
        for files, path in missing:
            results[path] = _save(path, list(islice(answers, len(files))), content, decoder)
    except KeyboardInterrupt:
        n = len(incoming.files)
        count = n - sum(len(files) for files, path in missing if path not in results)
        raise KeyboardInterrupt(
            f"interrupted; {count} of {n} images are read; run the same command to resume"
        ) from None
    finally:
        answers.close()
    reasons = [reason for _, path in batches for reason in results[path][1]]
    readable = [file for file, reason in zip(incoming.files, reasons, strict=True) if not reason]
    unread = [
        (in_table(file), reason)
        for file, reason in zip(incoming.files, reasons, strict=True)
        if reason
    ]
    arrays = [results[path][0] for _, path in batches]
    return Images(
        names=[in_table(file) for file in readable],
        sources=[incoming.path(file) for file in readable],
        **{name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]},
        unreadable=unread + [(in_table(folder), why) for folder, why in incoming.shut],
        ignored=[(in_table(path), why) for path, why in incoming.ignored],
    )


Batch = tuple[dict[str, np.ndarray], list[str]]  # arrays of the readable images; reason per file


def _save(
    path: Path, answers: list[DecodedImage | str], content: Content, decoder: Decoder
) -> Batch:
    """Compute the features of a batch of files, save them, and return them."""
    looks = [answer for answer in answers if not isinstance(answer, str)]
    form = decoder.form
    pixels = np.empty((len(looks), form.channels, form.height, form.width), np.uint8)
    for row, look in enumerate(looks):
        pixels[row] = look.pixels
    digests, thumbnails = _identification(looks)
    arrays = {"content": content(pixels), "digests": digests, "thumbnails": thumbnails}
    reasons = [answer if isinstance(answer, str) else "" for answer in answers]
    save_arrays(path, arrays, {"reasons": reasons})
    return arrays, reasons


def _load(path: Path) -> Batch | None:
    """Return a finished batch; None if its file is missing or damaged."""
    try:
        return load_arrays(path), load_about(path, "reasons")["reasons"]
    except InputError:
        return None


def _identification(looks: Sequence[DecodedImage]) -> tuple[np.ndarray, np.ndarray]:
    digests = np.frombuffer(b"".join(look.digest for look in looks), np.uint8)
    thumbnails = np.array([look.thumbnail for look in looks], np.uint8)
    return (
        digests.reshape(-1, DIGEST_BYTES),
        thumbnails.reshape(-1, THUMBNAIL_PX, THUMBNAIL_PX),
    )


def _key(run: str, state: str) -> str:
    return hashlib.sha256(json.dumps([run, state]).encode()).hexdigest()
