"""Compare the effect of the thread count on the results with the effect of the seed.

Reads   pairs        yaml: the grid file; its pairs differ only in `threads`
        grid         csv: a row for each cell (pair, lambda, seed) with its metrics
Writes  differences  csv: a row for each metric and each thread count except the first; see
                     `reproduction.threads.tolerance`
        readme       markdown: the same as a page
"""

from pathlib import Path

from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv, save_csv, save_text
from reproduction.grid import grid_file
from reproduction.paper.seed_statistics import check
from reproduction.threads.page import page
from reproduction.threads.tolerance import compared
from stages.runner import run


def main(pairs: Path, grid: Path, differences: Path, readme: Path) -> None:
    """Compare the cells, and save the table and the page."""
    if not grid.exists():  # the grid writes it, not a stage of `dvc repro`
        raise InputError(f"{grid}: no such file; run `python -m reproduction.grid {pairs}`")
    cells = load_csv(grid)
    check(cells)
    table = compared(cells, threads_of(pairs))
    save_csv(differences, table)
    save_text(readme, page(table))


def threads_of(path: Path) -> dict[str, int]:
    """Return the threads of each pair of a grid file, in the order of the file."""
    pairs = grid_file.GridFile.load(path).pairs
    for pair, settings in pairs.items():
        if set(settings) != {"threads"}:
            keys = ", ".join(settings) or "nothing"
            raise InputError(f"{path}: pairs.{pair}: expected only `threads`, got {keys}")
    if len(pairs) < 2:
        raise InputError(f"{path}: pairs: expected at least 2 pairs to compare, got 1")
    return {pair: settings["threads"] for pair, settings in pairs.items()}


if __name__ == "__main__":
    run(main)
