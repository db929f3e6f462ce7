"""A fault: how it is provoked, the command, and the promised answer."""

import contextlib
import hashlib
import importlib
import io
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from belong.commands.main import main
from reproduction.grid import __main__
from stages.runner import run
from tests.imports import ROOT

COMMANDS = {"belong": main, "reproduction.grid": __main__.main}
INPUT, OUTPUT = "input", "output"  # what is the person's, and what the command may write


@dataclass(frozen=True)
class Fault:
    """A row of the table.

    Attributes:
        name: what goes wrong.
        spoil: makes it go wrong in an empty folder, where a small model lies beside it, and
            returns the words of the command. What is the person's it puts into the folder's
            INPUT; the command may write OUTPUT.
        says: what must be answered.
        code: the exit code that must be.
        where: the file, from the folder, that holds the answer; or the command's own output.
        environment: other than ours; the command then runs in a process of its own.
        most_bytes: of a file that it may write, as on a disk that is full; likewise.
        before: words that run the command with fewer rights; likewise.
        around: what goes on in the folder while the command runs.
    """

    name: str
    spoil: Callable[[Path, Path], list[str]]
    says: str
    code: int = 0
    where: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    most_bytes: int | None = None
    before: Callable[[], list[str]] = list
    around: Callable[[Path], AbstractContextManager[object]] = contextlib.nullcontext

    @property
    def promise(self) -> str:
        """What is promised, in words."""
        place = f" in {Path(self.where).name}" if self.where else ""
        marks = "``" if "`" in self.says else "`"
        return f"exit code {self.code}, {marks}{self.says}{marks}{place}"


@dataclass(frozen=True)
class Answer:
    """The result of a command.

    Attributes:
        code: its exit code; None if it ended with a stack trace.
        output: all that it wrote to standard output and error.
        message: the text in the promised place.
        lost_files: files of the user that are gone or altered.
        left_files: files that it left after a failure, or half written.
    """

    code: int | None
    output: str
    message: str
    lost_files: list[str]
    left_files: list[str]

    def keeps(self, fault: Fault) -> bool:
        """Return whether this is what was promised."""
        return self.code == fault.code and fault.says in self.message and not self.shows_a_trace

    @property
    def shows_a_trace(self) -> bool:
        """Return whether a person sees a stack trace."""
        return "Traceback" in self.output


def answer_to(fault: Fault, folder: Path, model: Path) -> Answer:
    """Provoke the fault in an empty folder; return the answer."""
    (folder / INPUT).mkdir()
    words = fault.spoil(folder, model)
    before = _sums(folder)
    limit = ["prlimit", f"--fsize={fault.most_bytes}"] if fault.most_bytes else []
    start = [*limit, *fault.before()]
    with fault.around(folder):
        if start or fault.environment or words[0] == "dvc":
            code, output = _in_another_process(
                [*start, sys.executable, "-m", *words], fault.environment
            )
        else:
            code, output = _in_this_process(words)
    after = _sums(folder)
    place = folder / fault.where
    message = place.read_text(encoding="utf-8") if fault.where and place.is_file() else output
    new = after.keys() - before.keys()
    return Answer(
        code=code,
        output=output,
        message=" ".join(message.split()),
        lost_files=sorted(name for name, digest in before.items() if after.get(name) != digest),
        left_files=sorted(
            name for name in new if (code != 0 and _is_left(name)) or ".part" in name
        ),
    )


def _is_left(name: str) -> bool:
    """Return whether a file should not be there after a failure.

    The list of what cannot be read is there on purpose, as are finished batches and the cache.
    """
    allowed = ("unreadable.csv", "predictions.csv", "summary.json", "ignored.csv", ".unfinished")
    return not any(part in name for part in (*allowed, ".dvc", "findings.csv", "check.json"))


def _in_this_process(words: list[str]) -> tuple[int | None, str]:
    """Run a command, or `stages.NAME ...` as `python -m` does, in this process."""
    out = io.StringIO()
    argv, handler = sys.argv, signal.getsignal(signal.SIGTERM)
    code: int | None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            if words[0] in COMMANDS:
                code = COMMANDS[words[0]](words[1:])
            else:
                sys.argv = [f"{words[0].rpartition('.')[2]}.py", *words[1:]]
                run(importlib.import_module(words[0]).main)
                code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:  # what a person would see
            code = None
            out.write(traceback.format_exc())
        finally:
            sys.argv = argv
            signal.signal(signal.SIGTERM, handler)
    return code, out.getvalue()


def _in_another_process(words: list[str], environment: Mapping[str, str]) -> tuple[int | None, str]:
    process = subprocess.run(
        words, cwd=ROOT, env=os.environ | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    output = process.stdout.decode("utf-8", "backslashreplace")
    return None if "Traceback" in output else process.returncode, output


def _sums(folder: Path) -> dict[str, str]:
    """Return file -> sum of its bytes; links are what they point to as text."""
    sums = {}
    for top, _, names in os.walk(folder):
        for name in names:
            path = Path(top, name)
            content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
            key = os.fsencode(path.relative_to(folder)).decode("utf-8", "backslashreplace")
            sums[key] = hashlib.sha256(content).hexdigest()
    return sums
