"""Kill commands at random moments, run them again, and compare every byte.

    python -m tests.robustness.kills reports/kills.csv 32 build/kills

kills 32 times, in small repositories in the new folder build/kills, and writes the table: a row for
each kill, with what was killed, when, and what the same command then gave. The kills are drawn from
seed 0. Exit code 1 if one of them did any harm.
"""

import argparse
import csv
import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import chain, cycle, repeat
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
from PIL import Image

from belong.commands.verify.repair import restore_locks
from belong.data.idx import read
from belong.prediction.bundle import FILES
from tests.clones import ENVIRONMENT, PIPELINE, call, clone_to, commit
from tests.imports import ROOT
from tests.pipeline.test_grid_driver import ENVIRONMENT as GRID_ENVIRONMENT
from tests.pipeline.test_grid_driver import edit, repository

# The report's page holds the time of day, and DVC watches no output of it; the other three run only
# where the grids' tables are.
OF_TABLES = {"paper", "photos", "study_threads"}
REPORTS = [f"reports/{name}" for name in ("metrics.json", "metrics_all.json", "plots", "figures")]
STAGES = [name for name in PIPELINE if name not in {"report_page", *OF_TABLES}]
# For a fit of few images and little time.
FEW = ("calibration.alpha=0.2", "split.calibration_fraction=0.3", "train.epochs=5",
       "autoencoder.epochs=2", "derive.images=50", "detectors.code_iforest.trees=20",
       "evaluate.resamples=50")  # fmt: skip
PATIENCE_SECONDS = 1200
STEP_SECONDS = 0.01

T = TypeVar("T")


@dataclass(frozen=True)
class Target:
    """A command, and what of it is killed.

    Attributes:
        killed: the command's own process, or the word that the one to be killed has in its line.
        name: of the command.
        folder: where it runs.
        command: what runs, and is killed.
        again: what has to mend it.
        outputs: files and folders, from `folder`.
        environment: of both.
        seconds: that the command takes.
    """

    killed: str
    name: str
    folder: Path
    command: tuple[str, ...]
    again: tuple[str, ...]
    outputs: tuple[str, ...]
    environment: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class Row:
    """The result of a kill.

    Attributes:
        killed: what of the command.
        name: of the command.
        second: when.
        was_running: whether it was not over by then.
        restored_lock: whether DVC was killed while it wrote its dvc.lock, so that `git restore`
            had to bring the file back before the second run, as `make` does.
        exit_code: of the second run; this one and all that follow are to be 0, and
        same_bytes: True. `belong fit` writes over no model: 2, if the first run had done all.
        left_files: what only a running process may have, when the stage has run again.
        left_processes: still at work.
        stack_traces: in what both runs said.
    """

    killed: str
    name: str
    second: float
    was_running: bool
    restored_lock: bool
    exit_code: int
    same_bytes: bool
    left_files: int
    left_processes: int
    stack_traces: int

    @property
    def is_harmless(self) -> bool:
        """Whether the second run mended everything."""
        refused = self.exit_code and (self.name, self.exit_code) != ("belong fit", 2)
        harm = refused or self.left_files or self.left_processes or self.stack_traces
        return self.same_bytes and not harm


def start(target: Target, command: tuple[str, ...]) -> "subprocess.Popen[str]":
    """Start a command of a target."""
    return subprocess.Popen(
        command, cwd=target.folder, env=target.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def awaited(process: "subprocess.Popen[str]", word: str) -> psutil.Process | None:
    """Return the process with this word in its line as soon as it is there; or the command's."""
    while process.poll() is None:
        with suppress(psutil.Error):
            whole = psutil.Process(process.pid)
            if word == "command":
                return whole
            for one in whole.children(recursive=True):
                if word in " ".join(one.cmdline()):
                    return one
        time.sleep(STEP_SECONDS)
    return None


def kill(target: Target, seconds: float, expected: dict[str, str], *, behind: str = "") -> Row:
    """Kill so long after it was there, or the process `behind`, and run the command again."""
    process = start(target, target.command)
    victim = awaited(process, target.killed)
    awaited(process, behind or target.killed)
    time.sleep(seconds)
    was_running = victim is not None and victim.is_running() and process.poll() is None
    if victim is not None:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    restored_lock = restored(target)
    second = start(target, target.again)
    then_said, _ = second.communicate(timeout=PATIENCE_SECONDS)
    if target.again[0] == "dvc" and "Running stage" not in then_said:
        # DVC has nothing to run again: what was killed lies hidden until the stage runs anew.
        start(target, target.command).communicate(timeout=PATIENCE_SECONDS)
    if second.returncode:
        print(then_said, file=sys.stderr)  # noqa: T201
    altered = differing(digests(target), expected)
    if altered:
        print(f"{target.name}: other bytes in {', '.join(altered)}", file=sys.stderr)  # noqa: T201
    return Row(
        killed=target.killed,
        name=target.name,
        second=round(seconds, 2),
        was_running=was_running,
        restored_lock=restored_lock,
        exit_code=second.returncode,
        same_bytes=not altered,
        left_files=len(list(leftovers(target.folder))),
        left_processes=sum(works_in(one, target.folder) for one in psutil.process_iter()),
        stack_traces=(output + then_said).count("Traceback (most recent call last)"),
    )


def restored(target: Target) -> bool:
    """Bring back a dvc.lock that is cut off, as `make` does; return whether one was."""
    return bool(list(restore_locks(target.folder)))


def digests(target: Target) -> dict[str, str]:
    """Return the SHA-256 of every file that comes out, but for the times that the stages took."""
    tops = [target.folder / name for name in target.outputs]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*"))]
    return {
        str(file.relative_to(target.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(files)
        if file.is_file() and "times" not in file.parts and not file.name.startswith(".")
    }


def differing(actual: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Return the files that are altered, missing or new."""
    return sorted({name for name, _ in actual.items() ^ expected.items()})


def leftovers(folder: Path) -> Iterator[Path]:
    """Find files that only a running process may have beside an output."""
    for ending in ("part", "work", "checkpoint"):
        yield from (file for file in folder.rglob(f".*.{ending}") if ".dvc" not in file.parts)


def works_in(process: psutil.Process, folder: Path) -> bool:
    """Say whether a process that is not over works in a folder."""
    try:
        return Path(process.cwd()).is_relative_to(folder) and process.status() != "zombie"
    except (psutil.Error, OSError):
        return False


def pipeline(folder: Path) -> list[Target]:
    """Run the pipeline once, small; return a target for each of its stages, and for DVC itself."""
    clone = clone_to(folder)
    call(clone, "dvc", "repro")
    commit(clone)
    return stages_of(clone)


def stages_of(clone: Path) -> list[Target]:
    """Return the targets in a small repository that is up to date."""
    targets = []
    for stage in STAGES:
        noted = json.loads((clone / "data" / "times" / f"{stage}.json").read_text())
        # Not the run cache: it would restore what is to be made again.
        repro = ("dvc", "repro", "--no-run-cache", "--single-item")
        targets += [
            Target(
                killed, f"dvc repro {stage}", clone, (*repro, "--force", stage), (*repro, stage),
                ("data", *REPORTS, "dvc.lock"),
                ENVIRONMENT, noted["seconds"] + started,
            )
            # Before it does anything, a stage imports torch, and DVC much more.
            for killed, started in (("python -m stages.", 2), ("command", 4))
        ]  # fmt: skip
    return targets


def scoring(folder: Path, model: Path) -> Target:
    """Return the target `belong score`, with 300 digits in a folder."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    for number, image in enumerate(read(ROOT / "tests" / "data" / "mnist-small").images[:300]):
        Image.fromarray(np.asarray(image[0])).save(photos / f"{number:03}.png")
    options = ("--model", str(model), "-o", "out", "--jobs", "1", "--batch-size", "10")
    command = (sys.executable, "-m", "belong", "score", "photos", *options)
    tables = ("out/predictions.csv", "out/unreadable.csv")
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    return Target("command", "belong score", folder, command, command, tables, environment, 8)


def fitting(folder: Path) -> Target:
    """Return the target `belong fit`, with 80 digits of each of three classes in a folder."""
    data = read(ROOT / "tests" / "data" / "mnist-small")
    for label in range(3):
        photos = folder / "photos" / f"{label}"
        photos.mkdir(parents=True)
        for row in np.flatnonzero(data.labels == label)[:80]:
            Image.fromarray(data.images[row, 0]).save(photos / f"{row}.png")
    settings = [word for one in FEW for word in ("--set", one)]
    command = (sys.executable, "-m", "belong", "fit", "photos", "-o", "out", *settings)
    # Not the report's page, which holds the time of day.
    files = ("out/manifest.json", *(f"out/{name}.safetensors" for name in FILES))
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    return Target("command", "belong fit", folder, command, command, files, environment, 8)


def a_grid(folder: Path) -> list[Target]:
    """Return the targets of a grid of quick cells: its worker, its stage, and itself."""
    folder.mkdir()
    clone = repository(folder / "grid")
    edit(clone / "grid.yaml", "images: 1", "images: 20")
    command = (sys.executable, "-m", "reproduction.grid", "grid.yaml", "out")
    return [
        Target(killed, "grid", clone, command, command, ("out",), GRID_ENVIRONMENT, seconds)
        for killed, seconds in (("-m dvc exp run", 4), ("python toy.py", 2), ("command", 8))
    ]


def forget(target: Target) -> None:
    """Take away what a scoring or a grid has made, so that there is something to do."""
    if "out" in target.outputs:
        refs = call(target.folder, "git", "for-each-ref", "--format=%(refname)", "refs/exps")
        for ref in refs.split():
            call(target.folder, "git", "update-ref", "-d", ref)
        shutil.rmtree(target.folder / ".dvc" / "cache", ignore_errors=True)
    shutil.rmtree(target.folder / "out", ignore_errors=True)
    shutil.rmtree(target.folder / ".out.work", ignore_errors=True)  # of one killed behind its end


def shuffled(targets: Sequence[T], rng: random.Random) -> Iterator[T]:
    """Go through the targets again and again, in one drawn order."""
    return cycle(rng.sample(targets, len(targets)))


def rows_of(targets: Iterator[Target], kills: int, rng: random.Random) -> Iterator[Row]:
    """Kill so many times, each after a random share of the time that the command takes.

    One that was over before it was killed does not count.
    """
    digests_of: dict[str, dict[str, str]] = {}
    while kills:
        target = next(targets)
        forget(target)
        # The pipeline has run; what the others give is to be seen first.
        if str(target.folder) not in digests_of:
            if not target.name.startswith("dvc"):
                whole = start(target, target.command)
                output, _ = whole.communicate(timeout=PATIENCE_SECONDS)
                if whole.returncode:
                    raise RuntimeError(f"{target.name}: fails without a kill: {output}")
            digests_of[str(target.folder)] = digests(target)
            forget(target)
        row = kill(target, rng.random() * target.seconds, digests_of[str(target.folder)])
        kills -= row.was_running
        yield row


def main(table: Path, kills: int, folder: Path) -> int:
    """Kill, and write the results into a table."""
    folder.mkdir(parents=True)
    folder = folder.resolve()
    rng = random.Random(0)  # noqa: S311
    every = pipeline(folder / "clone")
    stages = shuffled([one for one in every if one.killed != "command"], rng)
    dvc = shuffled([one for one in every if one.killed == "command"], rng)
    grid = shuffled(a_grid(folder / "cells"), rng)
    score = repeat(scoring(folder / "score", folder / "clone" / "data" / "bundle"))
    fit = repeat(fitting(folder / "fit"))
    # zip takes the next stage for each time that the stages stand here.
    targets = chain.from_iterable(
        zip(stages, dvc, score, stages, fit, stages, dvc, grid, strict=True)
    )
    rows = []
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(Row.__annotations__), lineterminator="\n")
        writer.writeheader()
        for row in rows_of(targets, kills, rng):
            writer.writerow(asdict(row))
            file.flush()
            rows.append(row)
    harmful = [row for row in rows if not row.is_harmless]
    print(f"{kills} kills, {len(harmful)} of them did harm")  # noqa: T201
    return int(bool(harmful))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.robustness.kills")
    parser.add_argument("table", type=Path, help="CSV file to write")
    parser.add_argument("kills", type=int, help="how many")
    parser.add_argument("folder", type=Path, help="that is made, for the repositories")
    arguments = parser.parse_args()
    sys.exit(main(arguments.table, arguments.kills, arguments.folder))
