"""README.md, docs/ and the files that describe the project."""

import json
import re
import subprocess
import sys
import tomllib
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote

import pytest
from ruamel.yaml import YAML

from belong.commands.main import COMMANDS
from reproduction.command_pages import command_parser
from reproduction.command_pages import pages as command_pages
from tests.documents import pages
from tests.imports import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LONGEST = 150  # lines of the README
WORDS = (
    "out-of-distribution detection", "anomaly detection in images", "open-set recognition",
    "conformal", "mislabeled images",
)  # fmt: skip
GLOSSARY = (
    "out-of-distribution", "in-distribution", "anomaly detection", "open-set recognition",
    "calibration set", "conformal p-value", "coverage", "false-rejection rate", "auroc", "fpr95",
    "embedding", "backbone", "mislabeled",
)  # fmt: skip
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)")


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST


def test_the_first_lines_of_the_readme_have_the_words_that_people_search_for() -> None:
    first = " ".join(README.partition("![")[0].split()).lower()
    assert [word for word in WORDS if word not in first] == []


def test_the_glossary_has_the_terms_of_the_field() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").lower()
    terms = " ".join(re.findall(r"^\*\*(.+?)\.\*\*", text, re.MULTILINE)).replace("`", "")
    assert [term for term in GLOSSARY if term not in terms] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_leads_to_a_file_of_the_repository(page: Path) -> None:
    targets = LINK.findall(page.read_text(encoding="utf-8"))
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    paths = {ROOT / name for name in names}
    paths |= {parent for path in paths for parent in path.parents}
    dead = [one for one in targets if Path(page.parent, one).resolve() not in paths]
    assert dead == []


def test_each_command_has_a_page_with_the_options_of_its_parser() -> None:
    stale = [
        str(path.relative_to(ROOT))
        for path, text in command_pages(ROOT).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "python -m reproduction.command_pages ."


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_a_command_has_every_option(name: str) -> None:
    text = (ROOT / "docs" / "commands" / f"{name}.md").read_text(encoding="utf-8")
    options = {
        option
        for action in command_parser(name)._actions
        for option in action.option_strings
        if action.dest != "help"
    }
    assert [option for option in sorted(options) if f"{option}" not in text] == []


class Links(HTMLParser):
    """Addresses that a page loads or leads to, and its anchors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.linked: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.linked.append(values["href"])
        elif "src" in values or (tag == "link" and "href" in values):
            self.loaded.append(values.get("src") or values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does: a warning, such as a dead link, is an error."""
    to = tmp_path_factory.mktemp("site")
    (line,) = re.findall(r"python (-m sphinx .*)", (ROOT / "Makefile").read_text())
    words = line.replace("--jobs auto", "").replace("build/docs", str(to / "docs")).split()
    process = subprocess.run(
        [sys.executable, *words, "-d", str(to / "trees")],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    return to / "docs"


@pytest.mark.pipeline
def test_the_site_has_a_page_for_each_page_of_the_documentation(site: Path) -> None:
    missing = [
        page for page in pages()
        if not (site / page.relative_to(ROOT).with_suffix(".html")).is_file()
    ]  # fmt: skip
    assert missing == []


@pytest.mark.pipeline
def test_every_page_of_the_site_is_in_its_menu(site: Path) -> None:
    menu = Links((site / "docs" / "index.html").read_text(encoding="utf-8")).linked
    linked = {(site / "docs" / unquote(link.partition("#")[0])).resolve() for link in menu}
    expected = {site / page.relative_to(ROOT).with_suffix(".html") for page in pages()}
    assert {
        str(page.relative_to(site)) for page in expected - linked - {site / "docs/index.html"}
    } == set()


@pytest.mark.pipeline
def test_the_site_needs_no_network_and_has_no_dead_link(site: Path) -> None:
    texts = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")
             if "_downloads" not in path.parts}  # fmt: skip
    faults = []
    for path, links in texts.items():
        for address in [*links.loaded, *links.linked]:
            if re.match(r"[a-z]+:|//", address):
                if address in links.loaded and not address.startswith("data:"):
                    faults.append((path.name, address))
                continue
            file, _, anchor = address.partition("#")
            to = (path.parent / unquote(file.partition("?")[0])).resolve() if file else path
            anchors = texts[to].anchors if to in texts else set()
            if not to.is_file() or (anchor and to in texts and unquote(anchor) not in anchors):
                faults.append((path.name, address))
    assert faults == []


def test_the_version_stands_in_the_citation_and_the_changelog() -> None:
    citation = YAML(typ="safe", pure=True).load(ROOT / "CITATION.cff")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = PROJECT["version"]
    assert str(citation["version"]) == version
    head = rf"^## \[{re.escape(version)}\] - (\d{{4}}-\d\d-\d\d)$"
    (date,) = re.findall(head, changelog, re.MULTILINE)
    assert str(citation["date-released"]) == date


def test_the_citation_has_what_its_format_requires() -> None:
    """https://github.com/citation-file-format/citation-file-format, schema 1.2.0."""
    citation = YAML(typ="safe", pure=True).load(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] in ("software", "dataset")
    assert citation["license"] == PROJECT["license"]
    for work in (citation, *citation["references"]):
        assert work["title"]
        assert all({"name"} == a.keys() or "family-names" in a for a in work["authors"])
    assert all("type" in work for work in citation["references"])


def test_the_changelog_lists_the_newest_version_first() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(\d+)\.(\d+)\.(\d+)\]", text, re.MULTILINE)
    versions = [tuple(map(int, one)) for one in headings]
    assert versions == sorted(versions, reverse=True)


def test_the_package_says_that_it_has_types() -> None:
    assert (files("belong") / "py.typed").is_file()


def test_a_notebook_of_the_examples_is_committed_without_the_paths_of_a_machine() -> None:
    for path in (ROOT / "examples").glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        assert not re.search(r"/(home|root|tmp)/", json.dumps(notebook)), path
