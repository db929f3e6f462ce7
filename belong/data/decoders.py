"""Processes that decode, as many as are asked at once; one that ends is replaced by another."""

import threading
from collections.abc import Sequence
from concurrent.futures import CancelledError
from pathlib import Path

from belong.data.decoder import Picture, Wanted, decode
from belong.data.decoder_process import DecoderProcess

ENDED = "the decoder ended while it read this file: damaged, or too large for the memory"

Answers = list[Picture | str]


class Decoders:
    """Decodes in a process of its own for each thread that asks."""

    def __init__(self, wanted: Wanted, channels: int) -> None:
        self._wanted, self._channels = wanted, channels
        self._lock = threading.Lock()
        self._started: set[DecoderProcess] = set()
        self._idle: list[DecoderProcess] = []
        self._can_start, self._is_over = True, False

    def decode(self, paths: Sequence[Path]) -> Answers:
        """Return what `belong.data.decoder.decode` says of each file, or that it ended a process.

        Raises:
            CancelledError: `end` was called meanwhile.
        """
        answers = self._asked(paths)
        for path in paths[len(answers) :]:  # over one of these the process ended: over which?
            # Of those that wait, several may have been killed: a new one has the last word.
            answers += self._asked([path]) or self._asked([path], anew=True) or [ENDED]
        return answers

    def end(self) -> None:
        """End all processes; threads that wait for an answer go on."""
        with self._lock:
            self._is_over = True
            for process in self._started:
                process.kill()
            for process in self._idle:
                process.close()

    def _asked(self, paths: Sequence[Path], *, anew: bool = False) -> Answers:
        """Ask a process, or a new one; it answers less if it ends."""
        process = self._taken(anew=anew)
        if process is None:
            return [decode(path, self._wanted) for path in paths]
        answers = process.ask(paths)
        with self._lock:
            if len(answers) == len(paths) and not self._is_over:
                self._idle.append(process)
            else:
                self._forget(process)
        return answers

    def _taken(self, *, anew: bool) -> DecoderProcess | None:
        """Return a process that waits for a question; None if none can be started here.

        One that has answered before, if there is one, or a new one.
        """
        with self._lock:
            if self._is_over:
                raise CancelledError
            if self._idle and not anew:
                return self._idle.pop()
            if not self._can_start:
                return None
            try:
                process = DecoderProcess(self._wanted, self._channels)
            except OSError:
                self._can_start = False
                return None
            self._started.add(process)
        if process.is_ready():
            return process
        with self._lock:
            self._can_start = False
            self._forget(process)
        return None

    def _forget(self, process: DecoderProcess) -> None:
        process.kill()
        process.close()
        self._started.discard(process)
