"""A new network is one file and one name: what docs/new-network.md says, done in a copy."""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.imports import ROOT

PAGE = ROOT / "docs" / "new-network.md"
BUNDLE = """
from pathlib import Path
import numpy as np
import torch
from belong.prediction.bundle import Bundle
from belong.prediction.predictor import Predictor
from tests.small_bundle import QUICK, make_bundle

folder = Path("made")
folder.mkdir()
model = Bundle.load(make_bundle(folder, QUICK.replace("network: lenet", "network: pooled")))
scored = Predictor(model, device=torch.device("cpu")).score(np.zeros((3, 1, 28, 28), np.uint8))
print(model.manifest.network, len(scored.label))
"""


def copy_with(folder: Path, code: str) -> Path:
    """Copy what is needed of the project, and add the network `pooled`."""
    for name in ("belong", "stages"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "data").mkdir()
    for name in ("tests", "reproduction", "params.yaml", "dvc.yaml", "data/further"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "belong" / "models" / "pooled.py").write_text(code)
    parameters = folder / "belong" / "parameters.py"
    (line,) = re.findall(r"^FROM_SCRATCH = \(.*\)$", parameters.read_text(), re.MULTILINE)
    other = line.replace(")", ', "pooled")')
    parameters.write_text(parameters.read_text().replace(line, other))
    return folder


def run(folder: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-B", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def battery(folder: Path) -> "subprocess.CompletedProcess[str]":
    options = ("-q", "-n", "0", "-k", "pooled", "-p", "no:cacheprovider")
    return run(folder, "-m", "pytest", *options, "tests/models/test_networks.py")


def code_of_the_page() -> str:
    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"^ +```python\n(.*?)^ +```", text, re.DOTALL | re.MULTILINE)
    return textwrap.dedent(code)


def test_the_network_of_the_page_keeps_the_contract_and_becomes_a_model(tmp_path: Path) -> None:
    folder = copy_with(tmp_path, code_of_the_page())
    battery_process = battery(folder)
    assert re.search(r"^\d\d passed, \d+ deselected", battery_process.stdout, re.MULTILINE), (
        battery_process.stdout
    )
    process = run(folder, "-c", BUNDLE)
    assert process.stdout.splitlines()[-1:] == ["pooled 3"], process.stderr


def test_a_network_that_mixes_the_images_of_a_batch_breaks_the_contract(tmp_path: Path) -> None:
    code = code_of_the_page().replace("late.flatten(1)", "(late - late.mean()).flatten(1)")
    assert code != code_of_the_page()
    battery_process = battery(copy_with(tmp_path, code))
    test_id = "test_what_an_image_gives_does_not_depend_on_the_others[pooled]"
    assert test_id in battery_process.stdout, battery_process.stdout
