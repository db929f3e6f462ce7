"""The documentation site: `make docs` builds it into build/docs.

The source folder is the root of the repository, so that a link means the same in a file on GitHub
and on the site. Links to other files of the repository become downloads.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[([^\]]+)\]\(([^)#:]+)\)")
PAGES = {
    "docs",
    "examples",
    "reports",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
}

project = "belong"
author = "the authors of belong"
project_copyright = author

extensions = ["myst_parser"]
root_doc = "docs/index"
source_suffix = {".md": "markdown"}
exclude_patterns = [path.name for path in ROOT.iterdir() if path.name not in PAGES]
myst_heading_anchors = 4
nitpicky = True
# Command lines that are no Python, and generated reports whose headings start where they like.
suppress_warnings = ["misc.highlighting_failure", "myst.header"]

html_theme = "furo"
html_title = "belong"
html_additional_pages = {"index": "to_the_first_page.html"}
templates_path = ["_templates"]
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sphinx = False
# Nothing is fetched when a page is opened: no fonts, no icons, no scripts of others.
html_theme_options = {"footer_icons": []}


def links_to_folders_as_text(app: Sphinx, page: str, source: list[str]) -> None:
    """Show a link to a folder of the repository as text: the site has no page for it."""
    parent = Path(app.env.doc2path(page)).parent
    source[0] = LINK.sub(
        lambda link: link[1] if (parent / link[2]).is_dir() else link[0], source[0]
    )


def further_pages(_: Sphinx, page: str, source: list[str]) -> None:
    """List the pages that the first page does not name, so that a new one is never lost."""
    if page == root_doc:
        named = set(re.findall(r"^[\w-]+$", source[0], re.MULTILINE)) | {"index"}
        pages = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
        others = "\n".join(name for name in pages if name not in named)
        source[0] = source[0].replace("FURTHER PAGES", others)


def setup(app: Sphinx) -> None:
    """Connect to Sphinx."""
    app.connect("source-read", links_to_folders_as_text)
    app.connect("source-read", further_pages)
