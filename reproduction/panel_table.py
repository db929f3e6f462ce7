"""Write the table of the panel's detectors into docs/evaluate.md.

    python -m reproduction.panel_table docs/evaluate.md

Writes  page   markdown: between its two comments, a row for each detector
"""

import sys
from pathlib import Path

from belong.detectors.panel import CLASSES, HEAD, PANEL
from belong.runtime.storage import save_text
from belong.runtime.text import table
from reproduction.markers import replaced

SHORT = {CLASSES: "labels", HEAD: "weight, bias"}


def rows() -> str:
    """Return the table: each detector's name, class, what it needs, and its file."""
    names = {id(one): name for name, one in vars(sys.modules["belong.detectors.panel"]).items()}
    lines = []
    for name, one in PANEL.items():
        file = f"{one.kind.__module__.rpartition('.')[2]}.py"
        link = f"[{file}](../belong/detectors/{file})"
        needs = ", ".join(SHORT.get(need, need) for need in one.needs)
        lines.append((f"`{name}`", f"`{names[id(one)]}`", needs, link))
    return table(("name", "in Python", "needs", "paper and formula"), lines, left=4)


def page(text: str) -> str:
    """Return the page with the table of the present detectors."""
    return replaced(text, "detectors", rows())


if __name__ == "__main__":
    path = Path(sys.argv[1])
    save_text(path, page(path.read_text(encoding="utf-8")))
