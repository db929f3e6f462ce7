"""A process of `belong.data.decoder`, as its parent has it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import numpy as np

from belong.data.decoder import ANSWER, BUFFER, READY, TEXT, Picture, Wanted, question


class DecoderProcess:
    """A process that decodes; it may end at any time, and says so by answering no more."""

    def __init__(self, wanted: Wanted, channels: int) -> None:
        """Start it and do not wait.

        Raises:
            OSError: it cannot be started.
        """
        self._shape = channels, wanted.height, wanted.width
        # The same packages as here, and not what the folder that one stands in has under the same
        # names. NumPy here multiplies nothing: the threads that it starts for that would lie idle.
        more = {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-P", "-m", "belong.data.decoder", wanted.word],
            bufsize=BUFFER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | more,
            process_group=0,  # Ctrl-C on a terminal goes to us, and we end it
        )
        self._questions = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)

    def is_ready(self) -> bool:
        """Wait until it has imported what it needs; return whether it could."""
        return self._answers.read(len(READY)) == READY

    def ask(self, paths: Sequence[Path]) -> list[Picture | str]:
        """Return what `decode` says of the files; of the first few, if it ended over the next."""
        answers: list[Picture | str] = []
        with suppress(BrokenPipeError):
            self._questions.write(question(paths))
            self._questions.flush()
            while len(answers) < len(paths):
                head = self._answers.read(ANSWER.size)
                if len(head) < ANSWER.size:
                    break
                frames, size = ANSWER.unpack(head)
                content = self._answers.read(size)
                if len(content) < size:
                    break
                if frames:
                    pixels = np.frombuffer(content, np.uint8).reshape(self._shape)
                    answers.append(Picture(pixels, frames))
                else:
                    answers.append(content.decode(*TEXT))
        return answers

    def kill(self) -> None:
        """End it at once: it holds nothing that could be lost."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Close the pipes of a process that was ended."""
        with suppress(BrokenPipeError):
            self._questions.close()
        self._answers.close()
