"""A folder with two stages as `dvc repro` leaves it, made by hand: outputs, dvc.lock and cache."""

import hashlib
import json
from pathlib import Path

FILES = {
    "data/model.bin": b"weights",
    "data/plots/roc.csv": b"x,y\n0,0\n",
    "data/plots/deep/loss.csv": b"epoch,loss\n1,2\n",
    "data/raw/mnist/images": b"digits",
}
LOCK = """schema: '2.0'
stages:
  train:
    cmd: python -m stages.train
    deps:
    - path: data/raw/mnist
    outs:
    - path: data/model.bin
      hash: md5
      md5: {model}
      size: 7
    - path: data/plots
      hash: md5
      md5: {plots}
      nfiles: 2
"""
FETCH_LOCK = """schema: '2.0'
stages:
  fetch@mnist:
    cmd: python -m stages.fetch
    outs:
    - path: data/raw/mnist
      hash: md5
      md5: {raw}
      nfiles: 1
"""
STAGES = """stages:
  train:
    cmd: python -m stages.train
    outs:
    - data/model.bin
    - data/plots
"""
FETCH_STAGES = "stages:\n  fetch:\n    matrix: {name: [mnist]}\n    wdir: ..\n    cmd: x\n"


def make_pipeline(root: Path) -> Path:
    """Write it; return its folder."""
    sums = {}
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
        sums[name] = _cached(root, content)
    plots = [
        {"md5": sums["data/plots/deep/loss.csv"], "relpath": "deep/loss.csv"},
        {"md5": sums["data/plots/roc.csv"], "relpath": "roc.csv"},
    ]
    raw = [{"md5": sums["data/raw/mnist/images"], "relpath": "images"}]
    folders = {
        name: _cached(root, json.dumps(members).encode(), ".dir")
        for name, members in (("plots", plots), ("raw", raw))
    }
    (root / "dvc.yaml").write_text(STAGES)
    (root / "dvc.lock").write_text(LOCK.format(model=sums["data/model.bin"], **folders))
    (root / "data" / "dvc.yaml").write_text(FETCH_STAGES)
    (root / "data" / "dvc.lock").write_text(FETCH_LOCK.format(**folders))
    (root / ".dvc" / "config").write_text("")
    return root


def cached(root: Path, content: bytes) -> Path:
    """Return where the cache keeps this content."""
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return root / ".dvc" / "cache" / "files" / "md5" / md5[:2] / md5[2:]


def _cached(root: Path, content: bytes, end: str = "") -> str:
    path = cached(root, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + end).write_bytes(content)
    return path.parent.name + path.name + end
