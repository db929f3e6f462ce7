"""The shell lines and the Python lines of README.md and docs/ run, in a folder with digits.

`photos/NAME` is a folder of digits, or of clothes (`photos/other`), and `models/NAME` a model of
digits, wherever a line names one that is not there. Trainings are short. A block that cannot run
says why in a comment above it.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import belong
from belong.commands.fit.fit import fit as fit_model
from belong.commands.main import main
from belong.data.idx import read
from tests.documents import Block, blocks, pages
from tests.imports import ROOT

pytestmark = pytest.mark.pipeline

IMAGES = 400  # enough for the default false-rejection rate
QUICK = {"autoencoder.epochs": 1, "derive.images": 20,
         "detectors.code_iforest.trees": 5, "evaluate.resamples": 20}  # fmt: skip
SHORTER = {"fit": QUICK, "clean": {"train.epochs": 1}}
# Exit codes that report a result about the images, not an error.
ANSWERS = {"check": {0, 1}, "watch": {0, 1}, "clean": {0, 5}}
# A test of their own runs the blocks of these pages.
ELSEWHERE = {
    "docs/evaluate.md": "tests/commands/test_evaluate_page.py",
    "docs/new-network.md": "tests/pipeline/test_new_network.py",
    "docs/python-api.md": "tests/api/test_examples.py",
}
# page -> the number of its blocks that may be skipped; 1 for other pages.
LEFT_OUT = {
    "README.md": 2, "CONTRIBUTING.md": 3, "SECURITY.md": 0, "docs/backbones.md": 2,
    "docs/papers.md": 4, "docs/pipeline.md": 14, "docs/quick-start.md": 2,
    "docs/commands/export.md": 2, "docs/review.md": 3,
}  # fmt: skip
RUNNABLE = ("python", "sh")
PAGES = [
    page
    for page in pages()
    if any(block.language in RUNNABLE and not block.reason for block in blocks(page))
    and str(page.relative_to(ROOT)) not in ELSEWHERE
]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder_of("mnist-small", tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def clothes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder_of("fashion-mnist-small", tmp_path_factory.mktemp("clothes"))


def image_folder_of(name: str, folder: Path) -> Path:
    """Write a folder of images for each class."""
    data = read(ROOT / "tests" / "data" / name)
    for place, (image, label) in enumerate(
        zip(data.images[:IMAGES], data.labels[:IMAGES], strict=True)
    ):
        path = folder / str(label) / f"{place:04}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image[0]).save(path)
    return folder


@pytest.fixture(scope="module")
def fitted(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that fits a model once for each choice of options."""
    to = tmp_path_factory.mktemp("fitted")
    models: dict[str, Path] = {}

    def model(**options: Any) -> Path:
        key = repr(sorted(options.items()))
        if key not in models:
            folder = to / str(len(models))
            fit_model(digits, folder, settings=QUICK, **options)
            models[key] = folder
        return models[key]

    return model


def test_a_block_that_is_not_run_says_why() -> None:
    left_out: Counter[str] = Counter()
    for page in pages():
        name = str(page.relative_to(ROOT))
        for block in blocks(page):
            if block.language in RUNNABLE and name not in ELSEWHERE and block.reason:
                left_out[name] += 1
    too_many = {name: n for name, n in left_out.items() if n > LEFT_OUT.get(name, 1)}
    assert too_many == {}


def test_a_page_that_is_run_elsewhere_is() -> None:
    for page, test in ELSEWHERE.items():
        assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")


def provide(text: str, digits: Path, clothes: Path, fitted: Callable[..., Path]) -> None:
    """Make the folders that the lines use and that no earlier line has made."""
    for name in re.findall(
        r"(?<!-o )(?<!--output )(?<![\w./-])(photos(?:/\w+)?|models/\w+)\b", text
    ):
        to = Path(name)
        if not to.exists():
            other = clothes if to.name.startswith("other") else digits
            shutil.copytree(other if to.parts[0] == "photos" else fitted(), to)
    if "photos/new" in text:
        shutil.copy(next(digits.rglob("*.png")), "photos/new/a.png")


def run_shell(line: str, fitted: Callable[..., Path]) -> None:
    """Run a line of `belong` in this process, or a line with a pipe in a shell."""
    if re.search(r"[|<>$]", line):
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        subprocess.run(["bash", "-c", line], env=os.environ | {"PATH": path}, check=True)
        return
    program, command, *words = shlex.split(line, comments=True)
    assert program == "belong", line
    if command == "fit" and "--plan" not in words:
        output = Path(words[words.index("-o") + 1])
        if output.exists():
            shutil.rmtree(output)
        if words[:2] == ["photos/ours", "-o"] and len(words) == 3:
            shutil.copytree(fitted(), output)
            return
    settings = SHORTER.get(command, {})
    extra = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    assert main([command, *words, *extra]) in ANSWERS.get(command, {0}), line


def run_python(lines: str, names: dict[str, Any], fitted: Callable[..., Path]) -> None:
    """Run lines of Python with short trainings."""

    def fit(folder: str, output: str, **options: Any) -> Any:
        assert Path(folder).is_dir()
        shutil.rmtree(output, ignore_errors=True)
        shutil.copytree(fitted(**options), output)
        return belong.load_model(output)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(belong, "fit", fit)
        exec(lines, names)  # noqa: S102  (the project's own page)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_lines_of_a_page_run(
    page: Path,
    digits: Path,
    clothes: Path,
    fitted: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").mkdir()
    Path("build").mkdir()
    names: dict[str, Any] = {}
    to_run: list[Block] = [
        block for block in blocks(page) if block.language in RUNNABLE and not block.reason
    ]
    assert to_run
    for block in to_run:
        if block.language == "python":
            provide(block.lines, digits, clothes, fitted)
            run_python(block.lines, names, fitted)
            continue
        for line in block.lines.replace("\\\n", " ").splitlines():
            if line.strip() and not line.startswith("#"):
                provide(line, digits, clothes, fitted)
                run_shell(line, fitted)
