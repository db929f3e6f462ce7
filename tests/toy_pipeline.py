"""A repository with a pipeline of three quick stages, whose bytes depend on the machine.

The stages stand for the real ones: images are fetched by data/dvc.yaml, a training puts a model
into DVC's cache, an evaluation writes results that git holds. The variable MACHINE stands for the
processor: another one trains another network.
"""

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.clones import ENVIRONMENT, call, commit

STAGE = """
import os, pathlib, sys, time
from ruamel.yaml import YAML

stage, weight = sys.argv[1], YAML(typ="safe").load(pathlib.Path("params.yaml"))["lambda"]
if weight == 13:
    sys.exit("toy: 13 is refused")
if stage == os.environ.get("SLOW"):  # until it is told to go on, or half a minute has passed
    pathlib.Path(os.environ["SIGNALS"], f"started-{weight}").touch()
    for _ in range(600):
        if pathlib.Path(os.environ["SIGNALS"], "go").exists():
            break
        time.sleep(0.05)
bundle, plots = pathlib.Path("data/bundle"), pathlib.Path("reports/plots")
if stage == "fetch":
    pathlib.Path("data/raw").mkdir()
    pathlib.Path("data/raw/images").write_text("digits")
if stage == "train":
    bundle.mkdir(exist_ok=True)
    (bundle / "weights").write_text(f"{os.environ.get('MACHINE')} {weight}")
if stage == "evaluate":
    plots.mkdir(parents=True, exist_ok=True)
    (plots / f"of-{weight}.csv").write_text((bundle / "weights").read_text())
    auroc = weight / 100 + (os.environ.get("MACHINE") == "author")
    pathlib.Path("reports/metrics.json").write_text('{"detectors": {"vim": {"auroc": %s}}}' % auroc)
if stage == "package":
    folder = pathlib.Path("data/package")
    folder.mkdir(exist_ok=True)
    (folder / "model").write_text((bundle / "weights").read_text())
"""
STAGES = """stages:
  train:
    cmd: python toy.py train
    deps: [toy.py, data/raw]
    params: [lambda]
    outs: [data/bundle]
  evaluate:
    cmd: python toy.py evaluate
    deps: [toy.py, data/bundle]
    outs:
    - reports/plots: {persist: true, cache: false}
    metrics:
    - reports/metrics.json: {persist: true, cache: false}
  package:
    cmd: python toy.py package
    deps: [toy.py, data/bundle, reports/metrics.json]
    outs: [data/package]
artifacts:
  package:
    path: data/package
    type: model
"""
FETCH = """stages:
  fetch:
    wdir: ..
    cmd: python toy.py fetch
    deps: [toy.py]
    outs:
    - data/raw
"""
PARAMS = "# the weight\nlambda: 1.0\n"


def make_toy(folder: Path) -> Path:
    """Make the author's repository, with what his machine made."""
    (folder / "data").mkdir(parents=True)
    for name, text in {
        "toy.py": STAGE,
        "dvc.yaml": STAGES,
        "data/dvc.yaml": FETCH,
        "params.yaml": PARAMS,
    }.items():
        (folder / name).write_text(text)
    call(folder, "git", "init", "--quiet", "--initial-branch", "master")
    call(folder, "dvc", "init", "--quiet")
    run_on(folder, "author", "dvc", "repro")
    commit(folder)
    return folder


def run_on(folder: Path, machine: str, *command: str, fails: bool = False) -> str:
    """Run a command as on the given machine; return its output."""
    return call(folder, *command, fails=fails, environment={"MACHINE": machine})


@contextmanager
def slow_training(
    folder: Path, machine: str, signals: Path, *command: str
) -> "Iterator[subprocess.Popen[bytes]]":
    """Start a command; yield in the middle of its training, which waits for signals/go."""
    signals.mkdir(exist_ok=True)
    variables = {"MACHINE": machine, "SLOW": "train", "SIGNALS": str(signals)}
    with subprocess.Popen(
        command, cwd=folder, env=ENVIRONMENT | variables, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            while not list(signals.glob("started-*")):
                time.sleep(0.05)
            yield process
        finally:
            (signals / "go").touch()


def clone_of(author: Path, folder: Path) -> Path:
    """Clone it, with an empty cache."""
    call(author, "git", "clone", "--quiet", str(author), str(folder))
    return folder
