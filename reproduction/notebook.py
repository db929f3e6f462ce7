"""Execute the notebook of examples/ and keep the outputs that a reader needs.

    python -m reproduction.notebook examples/quick_start.ipynb

Reads and writes  the notebook, with the outputs of each code cell; standard error, where warnings
                  show paths of this machine, is left out, and so are addresses in memory.
"""

import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
MOST_SECONDS = 300  # it takes less than a minute on an idle machine


def executed(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Return the notebook with the outputs of a run in `folder`, the same in each run.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell fails.
    """
    client = NotebookClient(
        notebook,
        timeout=MOST_SECONDS,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.get("outputs", []):
            if "text/plain" in output.get("data", {}):
                output.data["text/plain"] = ADDRESS.sub("", output.data["text/plain"])
    notebook.metadata.language_info = {"name": "python"}  # without the version of this machine
    return notebook


def main() -> None:
    """Execute the notebook in a temporary folder and write it with its outputs."""
    path = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        notebook = executed(nbformat.read(path, as_version=4), Path(folder))
    nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
