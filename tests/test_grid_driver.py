"""The driver of the grid, with DVC and git as they are, on a pipeline of one quick stage.

The stage stands for the real ones: it reads lambda and seed, and writes metrics and curves where
they do. What the driver does with the real pipeline is in test_pipeline.py.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
from ruamel.yaml import YAML

from tests.imports import ROOT

STAGE = """
import json, pathlib, sys, time
from ruamel.yaml import YAML

params = YAML(typ="safe", pure=True).load(pathlib.Path("params.yaml"))
weight, seed, batch = params["lambda"], params["seed"], params["train"]["batch_size"]
time.sleep(params["derive"]["images"] / 10)
if batch == 13:
    sys.exit("toy: 13 images in a batch are refused")
plots = pathlib.Path("reports/plots/roc")
plots.mkdir(parents=True, exist_ok=True)
for detector in ("mahalanobis", "mlp_head"):
    roc = f"false_positive_rate,true_positive_rate,threshold\\n0,{weight},-inf\\n1,1,inf\\n"
    (plots / f"{detector}.csv").write_text(roc)
if batch != 14:
    points = f"kind,class_name,x,y\\nnormal,zero,{weight},{seed}\\n"
    (plots.parent / "features.csv").write_text(points)
metrics = {"detectors": {"mahalanobis": {"auroc": weight / 100 + seed, "reason": "none"}}}
pathlib.Path("reports/metrics.json").write_text(json.dumps(metrics))
"""

PIPELINE = """
stages:
  evaluate:
    cmd: python toy.py
    deps: [toy.py]
    params: [lambda, seed, train, derive]
    outs:
    - reports/plots: {persist: true, cache: false}
    metrics:
    - reports/metrics.json: {persist: true, cache: false}
"""

GRID = """
pairs:
  own:
    derive: {images: 1}
  slow:
    derive: {images: 600}
  refused:
    derive: {images: 1}
    train: {batch_size: 13}
sweeps:
  first:
    by_default: true
    pairs: [own]
    lambdas: [0, 1]
    seeds: [0]
  second:
    by_default: false
    pairs: [own]
    lambdas: [1, 0.00001]
    seeds: [0]
  slow:
    by_default: false
    pairs: [slow]
    lambdas: [0]
    seeds: [0]
  refused:
    by_default: false
    pairs: [own, refused]
    lambdas: [1]
    seeds: [0]
curves:
  lambdas: [1]
  seed: 0
  detectors: [mahalanobis, mlp_head]
"""

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | {
    "PYTHONPATH": str(ROOT),
    "GIT_CONFIG_GLOBAL": os.devnull,  # a user of whom git knows nothing
}
MAKER = ("-c", "user.name=test", "-c", "user.email=test@example.org")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *MAKER, *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def repository(folder: Path) -> Path:
    """Make a repository with the quick pipeline and the parameters of the tests."""
    folder.mkdir()
    git(folder, "init", "--quiet")
    subprocess.run([sys.executable, "-m", "dvc", "init", "-q"], cwd=folder, check=True)
    (folder / "toy.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(PIPELINE)
    shutil.copy(ROOT / "tests" / "data" / "params.yaml", folder / "params.yaml")
    for name in ("mnist-small", "fashion-mnist-small"):
        (folder / "tests" / "data" / name).mkdir(parents=True)
        (folder / "tests" / "data" / name / "images").write_text("")
    (folder / ".gitignore").write_text("/build/\n/out/\n/grid.yaml\n")
    (folder / ".dvcignore").write_text("build\n")
    (folder / "grid.yaml").write_text(GRID)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder


def grid(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "stages.grid", "grid.yaml", "out", *options],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
