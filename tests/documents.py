"""The pages of the documentation, and the blocks of lines in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.imports import ROOT

OTHERS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")
NOT_RUN = "<!-- not run: "


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: the word behind the fence.
        lines: what is in it.
        reason: why it is not run, "" if it is.
    """

    language: str
    lines: str
    reason: str


def pages() -> list[Path]:
    """Return README.md, the pages beside it, and all pages of docs/."""
    return [*(ROOT / name for name in OTHERS), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page; a comment above a block may say why it is not run."""
    before = ""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "fence":
            reason = before.removeprefix(NOT_RUN).removesuffix("-->").strip()
            yield Block(token.info.strip(), token.content, reason)
        comment = token.type == "html_block" and token.content.startswith(NOT_RUN)
        before = token.content.strip() if comment else ""
