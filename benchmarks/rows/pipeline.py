"""Run the whole pipeline in a clone, from the images to the report, without a cache."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from belong.runtime.errors import InputError
from benchmarks import digits
from benchmarks.agreement import Checker
from benchmarks.contract import Check, Peer, Race, Setting, Work

SMALL_PARAMS = Path("tests/data/params.yaml")
FASHION = Path("data/raw/fashion-mnist"), Path("tests/data/fashion-mnist-small")
# Another seed and other parts of the images move an AUROC by so much (reports/paper/grid.csv);
# few images, by more.
TOLERANCE, TINY_TOLERANCE = 0.05, 0.5


def whole(setting: Setting) -> Race:
    """`dvc repro` in a fresh clone with an empty cache, against the plain script.

    And, beside the same runs of the script, `dvc exp run -S lambda=...` where all is up to date.
    """
    ready = ready_clone(setting)

    def ours(number: int) -> dict[str, float]:
        with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
            clone = fresh_clone(setting, Path(folder) / "clone", seed=number)
            dvc(clone, "repro")
            return numbers_of(clone)

    def another_lambda(number: int) -> dict[str, float]:
        # A weight that no run had before: DVC would have its results in the cache.
        weight = 1 + int.from_bytes(os.urandom(3)) / 2**34 + number / 2**10
        dvc(ready, "exp", "run", "--quiet", "-S", f"lambda={weight}")
        return numbers_of(ready)

    threads = f"on {setting.threads} threads"
    return Race(
        what=f"dvc repro {threads}, nothing made before",
        ours=ours,
        also={f"dvc exp run -S lambda=... {threads}, all else made before": another_lambda},
        peers={"stock script": Peer(_stock(setting), checker(setting), bar=0.5)},
    )


def nothing_to_do(setting: Setting) -> Race:
    """`dvc repro` when everything is up to date: the overhead of DVC itself."""
    clone = ready_clone(setting)
    return Race(
        what="dvc repro, nothing to do",
        ours=lambda _: dvc(clone, "repro"),
        peers={"dvc --version": Peer(lambda _: dvc(clone, "--version"), no_failure)},
    )


def _stock(setting: Setting) -> Work:
    root, fashion = digits.for_torchvision(setting), fashion_for_torchvision(setting)

    def work(number: int) -> dict[str, float]:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "numbers.json"
            words = [str(root), str(fashion), str(out), "--seed", str(number)]
            words += ["--quick"] if setting.quick else []
            command = [sys.executable, "-m", "benchmarks.stock.pipeline", *words]
            run(command, Path.cwd())
            numbers: dict[str, float] = json.loads(out.read_text("utf-8"))
            return numbers

    return work


def checker(setting: Setting) -> Checker:
    """Return the check of accuracy and AUROCs, their means over the rounds."""

    def check(ours: Sequence[dict[str, float]], theirs: Sequence[dict[str, float]]) -> Check:
        names = list(theirs[0])
        apart = [
            abs(np.mean([one[name] for one in ours]) - np.mean([one[name] for one in theirs]))
            for name in names
        ]
        farthest = int(np.argmax(apart))  # the first NaN, if there is one
        tolerance = TINY_TOLERANCE if setting.quick else TOLERANCE
        metric = names[farthest] if names[farthest] == "accuracy" else f"AUROC of {names[farthest]}"
        return Check(f"largest difference, {metric}", float(apart[farthest]), tolerance)

    return check


def no_failure(_ours: Sequence[str], _theirs: Sequence[str]) -> Check:
    """Say that both agree: a command that fails raises."""
    return Check("largest exit code", 0.0, 0.0)


def fresh_clone(setting: Setting, clone: Path, *, seed: int = 0) -> Path:
    """Clone what is committed, with the fetched images, an empty cache and nothing made.

    It computes on as many threads as the peers: params.yaml says 1, which stands a busy machine.
    """
    run(["git", "clone", "--quiet", ".", str(clone)], Path.cwd())
    (clone / "dvc.lock").unlink()
    if setting.quick:
        shutil.copy(SMALL_PARAMS, clone / "params.yaml")
        (clone / "data" / "dvc.yaml").unlink()
    else:
        for folder in (digits.FULL, FASHION[0]):
            shutil.copytree(folder, clone / folder)
    params = clone / "params.yaml"
    text = params.read_text("utf-8")
    for key, value in (("seed", seed), ("threads", setting.threads)):
        text = re.sub(rf"(?m)^{key}: \d+$", f"{key}: {value}", text)
    params.write_text(text, encoding="utf-8")
    return clone


def ready_clone(setting: Setting) -> Path:
    """Return a clone in which the pipeline has run; each commit has one, which is reused."""
    commit = run(["git", "rev-parse", "HEAD"], Path.cwd()).strip()
    clone = setting.folder / f"ready-{'small-' if setting.quick else ''}{commit[:12]}"
    marker = clone / ".git" / "all-is-made"
    if not marker.exists():
        shutil.rmtree(clone, ignore_errors=True)
        dvc(fresh_clone(setting, clone), "repro")
        run(["git", "add", "--all"], clone)
        run(["git", "commit", "--quiet", "--message", "all is made"], clone)
        marker.touch()
    return clone


def numbers_of(clone: Path) -> dict[str, float]:
    """Return the accuracy, and the AUROC of each detector."""
    metrics = json.loads((clone / "reports" / "metrics_all.json").read_text("utf-8"))
    aurocs = {name: one["auroc"] for name, one in metrics["detectors"].items()}
    return {"accuracy": metrics["classification"]["accuracy"]} | aurocs


def fashion_for_torchvision(setting: Setting) -> Path:
    """Return the folder in which torchvision's MNIST finds the clothes."""
    return digits.unzipped(
        FASHION[setting.quick], setting.folder / ("fashion-small" if setting.quick else "fashion")
    )


def dvc(clone: Path, *words: str) -> str:
    """Run DVC in the clone; return its output."""
    return run([sys.executable, "-m", "dvc", *words], clone)


def run(command: Sequence[str], folder: Path) -> str:
    """Run a command in a folder; return its output.

    Raises:
        InputError: it failed.
    """
    identity = {f"GIT_{role}_{field}": "benchmarks@localhost" for role in ("AUTHOR", "COMMITTER")
           for field in ("NAME", "EMAIL")}  # fmt: skip
    environment = os.environ | identity
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = subprocess.run(  # noqa: S603  (git, DVC and our own modules)
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if process.returncode:
        raise InputError(
            f"{' '.join(command)}: {(process.stdout + process.stderr).strip()[-2000:]}"
        )
    return process.stdout
