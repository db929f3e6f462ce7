"""The notebook and the scripts of examples/ run."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from belong.data.idx import read
from reproduction.notebook import MOST_SECONDS, executed
from tests.imports import ROOT
from tests.untrained_bundle import save_untrained

pytestmark = pytest.mark.pipeline

EXAMPLES = ROOT / "examples"
NOTEBOOK = EXAMPLES / "quick_start.ipynb"
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|usr|var|work|opt|Users)/|[A-Z]:\\\\")
MOST_BYTES = 60_000


def run(folder: Path, script: str, *words: str | Path) -> str:
    process = subprocess.run(
        [sys.executable, EXAMPLES / script, *words],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return process.stdout


def output_sentences(notebook: nbformat.NotebookNode) -> list[str]:
    """Return the text of each output without its numbers and the width of its columns."""
    texts = [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
    ]
    return [re.sub(r"[\d.\s]+", " ", text) for text in texts]


def test_the_notebook_has_outputs_and_names_no_path_of_a_machine() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert any("text/html" in output.get("data", {}) for output in outputs)
    assert MACHINE_PATH.findall(json.dumps(outputs)) == []
    assert NOTEBOOK.stat().st_size < MOST_BYTES


def test_the_notebook_runs_as_committed_and_rejects_the_pieces_of_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    committed_notebook = nbformat.read(NOTEBOOK, as_version=4)
    begin = time.monotonic()
    notebook = executed(nbformat.read(NOTEBOOK, as_version=4), tmp_path)
    assert time.monotonic() - begin < MOST_SECONDS
    assert output_sentences(committed_notebook) == output_sentences(notebook), "make notebook"
    scored = pd.read_csv(tmp_path / "digits" / "scored" / "predictions.csv")
    kind = scored["path"].str.partition("-")[0]
    rejected = (~scored["belongs"]).groupby(kind).mean()
    assert rejected["far"] > 0.8
    assert rejected["digit"] < 0.25  # of 50, where 5% are asked for
    assert (tmp_path / "digits" / "model.onnx").is_file()
    assert (tmp_path / "digits" / "scored" / "gallery.html").is_file()


def test_photos_are_sorted_by_class_and_verdict(tmp_path: Path) -> None:
    save_untrained(tmp_path / "model")
    photos = tmp_path / "photos"
    photos.mkdir()
    for place, image in enumerate(read(ROOT / "tests" / "data" / "mnist-small").images[:6]):
        Image.fromarray(image[0]).save(photos / f"{place}.png")
    (photos / "broken.png").touch()
    run(tmp_path, "sort_photos.py", "model", "photos", "sorted")
    class_of = {path.name: path.parent.name for path in (tmp_path / "sorted").rglob("*.png")}
    assert class_of.keys() == {path.name for path in photos.iterdir()}
    assert class_of["broken.png"] == "_unreadable"
    assert set(class_of.values()) <= {"cat", "dog", "_other", "_unreadable"}
    assert len(list(photos.iterdir())) == 7


def test_detectors_are_compared_on_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    train, test = (rng.normal(3 * labels[:, None], 1, (200, 5)) for _ in range(2))
    np.savez(tmp_path / "train.npz", features=train, labels=labels)
    np.savez(tmp_path / "test.npz", features=test)
    for name, mean in (("near", -2), ("far", 20)):
        np.savez(tmp_path / f"{name}.npz", features=rng.normal(mean, 1, (50, 5)))
    names = ("train.npz", "test.npz", "near.npz", "far.npz")
    lines = run(tmp_path, "compare_detectors.py", *names).splitlines()
    assert {"near", "far", "mean"} <= set(lines[0].split())
    means = [float(line.split()[-1]) for line in lines[2:] if not line.startswith("left out")]
    assert means == sorted(means, reverse=True)
    assert means[0] > 0.9
    assert any(line.startswith("left out: energy: ") for line in lines)
