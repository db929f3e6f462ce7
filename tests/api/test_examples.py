"""The examples of the public API run, each in a folder with a small model and a few images."""

import ast
import doctest
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

import belong
from belong.commands.main import main
from belong.data.idx import read
from reproduction.api_page import page
from tests.imports import ROOT
from tests.untrained_bundle import save_untrained

pytestmark = pytest.mark.pipeline

OF_EACH = 70  # digits
FUNCTIONS = [name for name in belong.__all__ if name.islower()]
WITH_EXAMPLES = [
    *FUNCTIONS, "CleanResult", "Evaluation", "FindResult", "Model", "Panel", "Predictions",
    "Report", "WatchResult",
]  # fmt: skip


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for name in belong.__all__:
        for test in finder.find(getattr(belong, name), name, globs={"belong": belong}):
            if test.examples:
                yield test


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write `model`, `photos` (one of three is broken), their `predictions`, and `digits`."""
    to = tmp_path_factory.mktemp("examples")
    save_untrained(to / "model")
    data = read(ROOT / "tests" / "data" / "mnist-small")
    (to / "photos").mkdir()
    for name, image in zip("ab", data.images, strict=False):
        Image.fromarray(image[0]).save(to / "photos" / f"{name}.png")
    (to / "photos" / "broken.png").touch()
    words = ["--model", str(to / "model"), "-o", str(to / "predictions")]
    assert main(["score", str(to / "photos"), *words]) == 0
    for label in (0, 1):
        class_folder = to / "digits" / str(label)
        class_folder.mkdir(parents=True)
        for place, image in enumerate(data.images[data.labels == label][:OF_EACH]):
            Image.fromarray(image[0]).save(class_folder / f"{place:02}.png")
    return to


@pytest.mark.parametrize("example", list(examples()), ids=lambda test: test.name)
def test_an_example_gives_what_it_shows(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: doctest.DocTest
) -> None:
    shutil.copytree(folder, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    messages: list[str] = []
    options = doctest.NORMALIZE_WHITESPACE
    runner = doctest.DocTestRunner(optionflags=options, verbose=False)
    failed, _ = runner.run(example, out=messages.append)
    assert not failed, "".join(messages)


def test_the_page_of_the_api_is_made_of_the_docstrings() -> None:
    committed_page = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    assert committed_page == page(), "python -m reproduction.api_page docs/python-api.md"


def test_a_signature_on_the_page_is_python_and_a_default_of_text_has_its_quotes() -> None:
    """A default that lacks its quotes would be a name."""
    signatures = [
        block.removeprefix("belong.")
        for block in re.findall(r"^```python\n(.*?)\n```$", page(), re.MULTILINE | re.DOTALL)
    ]
    assert len(signatures) > len(FUNCTIONS)
    functions = [ast.parse(f"def {text}: ...").body[0] for text in signatures]
    for function in functions:
        assert isinstance(function, ast.FunctionDef)
        defaults = [*function.args.defaults, *filter(None, function.args.kw_defaults)]
        assert [ast.unparse(one) for one in defaults if isinstance(one, ast.Name)] == []


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_a_public_name_has_an_example(name: str) -> None:
    assert name in {test.name.split(".")[0] for test in examples()}
