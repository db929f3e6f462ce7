"""The wheel is built, installed into a fresh environment, and used from an empty folder.

The environment sees the libraries of the one that runs the tests, but neither the checkout nor the
packages of the extra `pipeline`.
"""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from belong.data.idx import read
from tests.clones import call
from tests.imports import ROOT

pytestmark = pytest.mark.pipeline

ABSENT = ("configobj", "dvc", "vl_convert")
QUICK = {"train.epochs": 5, "autoencoder.epochs": 1, "derive.images": 20,
         "detectors.code_iforest.trees": 5, "evaluate.resamples": 20}  # fmt: skip


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from it, of the files that git would clone."""
    source, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    paths = ("belong", "LICENSE", "README.md", "pyproject.toml")
    file_list = call(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard", *paths)
    for name in file_list.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    call(source, sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist))
    return dist


@pytest.fixture(scope="module")
def wheel(archives: Path) -> Path:
    (path,) = archives.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel; return the folder of the environment."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    call(folder, *pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel))
    (packages,) = folder.glob("lib/*/site-packages")
    # A folder in a .pth file is searched; .pth files in it, such as the checkout's, are not read.
    (packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\nimport absent\n")
    (packages / "absent.py").write_text(
        f"import sys\nsys.modules.update(dict.fromkeys({ABSENT}))\n"
    )
    return folder


@pytest.fixture(scope="module")
def work_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds 150 digits of three classes, and twelve others, as PNG files."""
    folder, digits = tmp_path_factory.mktemp("empty"), read(ROOT / "tests" / "data" / "mnist-small")
    for label in range(3):
        rows = np.flatnonzero(digits.labels == label)
        for to, part in ((f"photos/{label}", rows[:150]), ("new", rows[150:154])):
            (folder / to).mkdir(parents=True, exist_ok=True)
            for row in part:
                Image.fromarray(digits.images[row, 0]).save(folder / to / f"{row}.png")
    return folder


def use(environment: Path, folder: Path, *command: str) -> str:
    """Run a program of the environment; return what it prints."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    program = environment / "bin" / command[0]
    process = subprocess.run(
        [program, *command[1:]],
        cwd=folder, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def model(environment: Path, work_folder: Path) -> Path:
    settings = [word for key, value in QUICK.items() for word in ("--set", f"{key}={value}")]
    use(
        environment,
        work_folder,
        "belong",
        "fit",
        "photos",
        "-o",
        "model",
        "--alpha",
        "0.05",
        *settings,
    )
    return work_folder / "model"


def test_an_index_takes_both_archives(archives: Path) -> None:
    names = sorted(path.name for path in archives.iterdir())
    assert [name.partition("-")[0] for name in names] == ["belong", "belong"]
    call(archives, sys.executable, "-m", "twine", "check", "--strict", *names)


def test_the_wheel_has_one_top_level_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"belong"}


def test_nothing_of_the_checkout_is_in_the_environment(
    environment: Path, work_folder: Path
) -> None:
    code = (
        "import belong, importlib.util; print(belong.__file__); "
        "print([name for name in ('benchmarks', 'dvc', 'examples', 'reproduction', 'stages', "
        "'tests') if importlib.util.find_spec(name)])"
    )
    file, others = use(environment, work_folder, "python", "-c", code).splitlines()
    assert Path(file).is_relative_to(environment)
    assert others == "[]"


def test_the_help_names_the_commands(environment: Path, work_folder: Path) -> None:
    assert "fit" in use(environment, work_folder, "belong", "--help")


def test_the_command_fits_scores_and_describes(
    environment: Path, work_folder: Path, model: Path
) -> None:
    use(environment, work_folder, "belong", "score", "new", "--model", "model", "-o", "scored")
    lines = (work_folder / "scored" / "predictions.csv").read_text().splitlines()
    assert len(lines) == 1 + 12
    assert "<html" in (work_folder / "scored" / "gallery.html").read_text()
    assert "<html" in (model / "report.html").read_text()
    assert "lenet" in use(environment, work_folder, "belong", "info", "model")


def test_the_python_api_says_what_the_command_says(
    environment: Path, work_folder: Path, model: Path
) -> None:
    use(environment, work_folder, "belong", "score", "new", "--model", "model", "-o", "by-command")
    code = (
        "import belong\n"
        "predictions = belong.load_model('model').predict('new')\n"
        "predictions.to_pandas().to_csv('by-api.csv', index=False)\n"
        f"belong.fit('photos', 'model-of-api', alpha=0.05, settings={QUICK})\n"
    )
    use(environment, work_folder, "python", "-c", code)
    by_api, by_command = (
        pd.read_csv(work_folder / name) for name in ("by-api.csv", "by-command/predictions.csv")
    )
    pd.testing.assert_frame_equal(by_api, by_command, rtol=1e-5)  # of six digits in the table
    for name in ("manifest.json", "network.safetensors"):
        assert (work_folder / "model-of-api" / name).read_bytes() == (model / name).read_bytes()
