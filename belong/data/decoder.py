"""`python -m belong.data.decoder`: a program that decodes image files for the one that started it.

It imports what decoding needs and no more, so that it works while its parent still imports torch.
Question, on standard input: the number of files (4 bytes), and of each path its length in bytes (4)
and the path. Answer, on standard output, file by file: its frames (4 bytes), 0 if there are no
pixels, the length (4), and the pixels, or the reason why there are none. It ends with its input.
"""

import json
import os
import struct
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Self

import numpy as np

from belong.data.file_discovery import NOT_PIXELS
from belong.data.image_reader import UnreadableError, frames_in, read_image
from belong.data.resize import Color, Form, formed

if TYPE_CHECKING:
    from belong.data.image_form import ImageForm  # 0.1 s to import

READY = b"!"  # the first byte that it writes: its imports are done
COUNT, ANSWER = struct.Struct(">I"), struct.Struct(">II")
TEXT = "utf-8", "surrogatepass"  # any name, and any message with a name in it
BUFFER = 2**16  # bytes, as a pipe has


@dataclass(frozen=True)
class Wanted:
    """What pixels a model wants: the fields of `image_form.ImageForm` that decoding needs."""

    height: int
    width: int
    color: Color
    background: tuple[int, int, int]
    max_pixels: int

    @classmethod
    def of(cls, form: "ImageForm") -> Self:
        """Take them from the form of a model."""
        return cls(form.height, form.width, form.color, form.background, form.max_pixels)

    @property
    def word(self) -> str:
        """The one argument of the program."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, word: str) -> Self:
        """Read what `word` gave."""
        fields = json.loads(word)
        return cls(**fields | {"background": tuple(fields["background"])})


class Picture(NamedTuple):
    """What a file gives.

    Attributes:
        pixels: (ch, h, w) uint8, of the first frame.
        frames: how many it has.
    """

    pixels: np.ndarray
    frames: int


def decode(path: Path, wanted: Wanted) -> Picture | str:
    """Return what a file gives in this form, or why it gives nothing."""
    if path.suffix.lower() in NOT_PIXELS:
        return f"{path.suffix.lower()} is not read; save it as JPEG or PNG"
    try:
        image = read_image(
            path,
            needed_px=max(wanted.height, wanted.width),
            most_pixels=wanted.max_pixels,
            background=wanted.background,
        )
    except UnreadableError as error:
        return str(error)
    pixels = formed(image, Form(wanted.height, wanted.width, wanted.color))
    return Picture(pixels, frames_in(path))


def question(paths: Sequence[Path]) -> bytes:
    """Return what asks the program for these files."""
    names = [str(path).encode(*TEXT) for path in paths]
    return COUNT.pack(len(names)) + b"".join(COUNT.pack(len(name)) + name for name in names)


def main(wanted: Wanted, questions: BinaryIO, answers: BinaryIO) -> None:
    """Answer until there are no more questions, or nobody who reads."""
    warnings.simplefilter("ignore")  # Pillow warns of odd notes in files that it reads all the same
    with suppress(BrokenPipeError, EOFError):
        answers.write(READY)
        answers.flush()
        while True:
            for path in [_path(questions) for _ in range(_number(questions))]:
                said = decode(path, wanted)
                if isinstance(said, str):
                    frames, content = 0, said.encode(*TEXT)
                else:
                    frames, content = said.frames, said.pixels.tobytes()
                answers.write(ANSWER.pack(frames, len(content)))
                answers.write(content)
            answers.flush()


def _path(questions: BinaryIO) -> Path:
    return Path(_all_of(questions, _number(questions)).decode(*TEXT))


def _number(questions: BinaryIO) -> int:
    (number,) = COUNT.unpack(_all_of(questions, COUNT.size))
    return int(number)


def _all_of(questions: BinaryIO, size: int) -> bytes:
    """Read so many bytes.

    Raises:
        EOFError: there are less, for who asks has ended, perhaps within a question.
    """
    read = questions.read(size)
    if len(read) < size:
        raise EOFError
    return read


if __name__ == "__main__":
    # What a library prints must not get among the answers.
    own = os.fdopen(os.dup(sys.stdout.fileno()), "wb", BUFFER)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    main(Wanted.read(sys.argv[1]), sys.stdin.buffer, own)
    os._exit(0)  # nothing is left to write, or nobody who reads: closing would say so once more
