"""Set paper A's results beside ours.

Reads   grid       csv: a row for each cell (pair, lambda, seed) with the numbers of its metrics
        roc        csv: ROC curves at two lambdas
        features   csv: features in a plane, at two lambdas
        sets       csv: detectors on each set of anomalies, at two lambdas
        published  csv: the rows that the paper published
Writes  readme     markdown: the published rows beside ours, a verdict for each claim, caveats
        figures    folder of png: classification (paper A, figure 2), semi_supervised (3),
                   supervised (4), roc (5), features (6), and sweep for each pair that was run at
                   more lambdas than the paper's
"""

from pathlib import Path

from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv, save_text, whole_folder
from reproduction.paper import anomaly_sets
from reproduction.paper import figures as draw
from reproduction.paper import published as paper
from reproduction.paper.page import page
from reproduction.paper.published_rows import balances_of
from reproduction.paper.seed_statistics import check
from stages.runner import run


def main(
    grid: Path,
    roc: Path,
    features: Path,
    sets: Path,
    published: Path,
    readme: Path,
    figures: Path,
) -> None:
    """Draw the figures and write the page."""
    for table in (grid, roc, features, sets):
        if not table.exists():  # no stage makes it: `dvc repro` would not
            raise InputError(f"{table}: no such file; `make grid` makes it")
    cells = load_csv(grid)
    check(cells)
    rows = paper.checked(load_csv(published, *paper.COLUMNS))
    curves = load_csv(roc, *draw.ROC_COLUMNS)
    points = load_csv(features, *draw.FEATURE_COLUMNS)
    others = load_csv(sets, *anomaly_sets.COLUMNS)
    drawn = draw.all_figures(cells, rows, balances_of(rows, cells), curves, points)
    with whole_folder(figures) as folder:
        for name, (figure, _) in drawn.items():
            figure.savefig(folder / f"{name}.png")
    captions = {name: caption for name, (_, caption) in drawn.items()}
    save_text(readme, page(cells, rows, others, captions))


if __name__ == "__main__":
    run(main)
