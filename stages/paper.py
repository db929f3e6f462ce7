"""Compare our results with those of paper A.

Reads   grid       csv: a row for each cell (pair, lambda, seed) with the numbers of its metrics
        roc        csv: ROC curves at two lambdas
        features   csv: features in a plane, at two lambdas
        sets       csv: detectors on each set of anomalies, at two lambdas
        cells      csv: the cells, with the reasons of failed trainings, and what confirmed others
        published  csv: the published rows
Writes  readme     markdown: published rows and ours, a verdict on each claim, caveats
        figures    folder of png: classification (paper A, figure 2), semi_supervised (3),
                   supervised (4), roc (5), features (6), and sweep for each pair with more lambdas
                   than the paper has
"""

from pathlib import Path

from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv, save_text, whole_folder
from reproduction.paper import anomaly_sets
from reproduction.paper import figures as draw
from reproduction.paper import published as paper
from reproduction.paper.page import page
from reproduction.paper.published_rows import balances_of
from reproduction.paper.seed_statistics import CELL, check
from stages.runner import run


def main(
    grid: Path,
    roc: Path,
    features: Path,
    sets: Path,
    cells: Path,
    published: Path,
    readme: Path,
    figures: Path,
) -> None:
    """Draw the figures and write the page."""
    for table in (grid, roc, features, sets, cells):
        if not table.exists():  # the grid writes it, not a stage of `dvc repro`
            raise InputError(f"{table}: no such file; run `make grid`")
    rows_of_cells = load_csv(grid)
    check(rows_of_cells)
    states = load_csv(cells, *CELL, "failure", "confirmed")
    rows = paper.checked(load_csv(published, *paper.COLUMNS))
    curves = load_csv(roc, *draw.ROC_COLUMNS)
    points = load_csv(features, *draw.FEATURE_COLUMNS)
    set_rows = load_csv(sets, *anomaly_sets.COLUMNS)
    balances = balances_of(rows, rows_of_cells)
    plots = draw.all_figures(rows_of_cells, rows, balances, curves, points)
    with whole_folder(figures) as folder:
        for name, (figure, _) in plots.items():
            figure.savefig(folder / f"{name}.png")
    captions = {name: caption for name, (_, caption) in plots.items()}
    save_text(readme, page(rows_of_cells, rows, set_rows, states, captions))


if __name__ == "__main__":
    run(main)
