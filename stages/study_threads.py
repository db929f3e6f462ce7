"""Say what another count of threads changes, beside what another seed does.

Reads   pairs        yaml: the grid file; its pairs differ in their `threads` alone
        grid         csv: a row for each cell (pair, lambda, seed) with the numbers of its metrics
Writes  differences  csv: a row for each count of threads but the first, and metric; see
                     `reproduction.threads.tolerance`
        readme       markdown: the same for people
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
    """Compare, write down."""
    if not grid.exists():  # no stage makes it: `dvc repro` would not
        raise InputError(f"{grid}: no such file; `python -m reproduction.grid {pairs}` makes it")
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
            came = ", ".join(settings) or "nothing"
            raise InputError(f"{path}: pairs.{pair}: expected `threads` alone, got {came}")
    if len(pairs) < 2:
        raise InputError(f"{path}: pairs: got one, expected another to compare it with")
    return {pair: settings["threads"] for pair, settings in pairs.items()}


if __name__ == "__main__":
    run(main)
