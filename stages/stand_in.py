"""Say what the grid of photos found, the stand-in for ImageNet-30.

Reads   pairs   yaml: the grid file, for what each pair sets in params.yaml
        grid    csv: a row for each cell (pair, lambda, seed) with the numbers of its metrics
        sets    csv: detectors on each set of anomalies
Writes  readme  markdown: what was run, and its accuracy and AUROC
"""

from pathlib import Path

from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv, save_text
from reproduction.grid import grid_file
from reproduction.paper import anomaly_sets
from reproduction.paper.cifar10_page import page
from reproduction.paper.seed_statistics import check
from stages.runner import run


def main(pairs: Path, grid: Path, sets: Path, readme: Path) -> None:
    """Write the page."""
    for table in (grid, sets):
        if not table.exists():  # no stage makes it: `dvc repro` would not
            raise InputError(
                f"{table}: no such file; `python -m reproduction.grid {pairs}` makes it"
            )
    cells = load_csv(grid)
    check(cells)
    settings = grid_file.GridFile.load(pairs).pairs
    save_text(readme, page(cells, load_csv(sets, *anomaly_sets.COLUMNS), settings))


if __name__ == "__main__":
    run(main)
