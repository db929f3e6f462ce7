"""A repository with a pipeline of three quick stages, whose bytes depend on the machine.

The stages stand for the real ones: images are fetched by data/dvc.yaml, a training puts a model
into DVC's cache, an evaluation writes results that git holds. The variable MACHINE stands for the
processor: another one trains another network.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.clones import ENVIRONMENT, call, commit

STAGE = """
import os, pathlib, sys, time
from ruamel.yaml import YAML

stage, weight = sys.argv[1], YAML(typ="safe").load(pathlib.Path("params.yaml"))["lambda"]
if weight == 13:
    sys.exit("toy: 13 is refused")
if stage == os.environ.get("SLOW"):
    pathlib.Path("started").touch()
    time.sleep(60)
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
  belong:
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
        ".gitignore": "started\n",
    }.items():
        (folder / name).write_text(text)
    call(folder, "git", "init", "--quiet", "--initial-branch", "master")
    call(folder, "dvc", "init", "--quiet")
    on(folder, "author", "dvc", "repro")
    commit(folder)
    return folder


def on(folder: Path, machine: str, *command: str, fails: bool = False) -> str:
    """Run a command as on another machine; return what it prints."""
    done = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT | {"MACHINE": machine},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def clone_of(author: Path, folder: Path) -> Path:
    """Clone it, with an empty cache."""
    call(author, "git", "clone", "--quiet", str(author), str(folder))
    return folder


def program(folder: Path, module: str, *words: str, code: int = 0) -> str:
    """Run a program of this project in a folder; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=folder, capture_output=True, text=True,
        env=ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
