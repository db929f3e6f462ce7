"""The stage that compares the paper's results with ours: tables, page and figures."""

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from belong.runtime.storage import save_csv
from reproduction.paper import figures as draw
from reproduction.paper.lambda_axis import labelled, places
from reproduction.paper.published import checked
from reproduction.paper.published_rows import balances_of
from reproduction.paper.sweep_figure import sweep
from stages import paper
from tests.imports import ROOT
from tests.paper_grid import LAMBDAS, PAIRS, grid_of, plausible, sets_of
from tests.pipeline.test_stages import run

pytestmark = pytest.mark.pipeline

PUBLISHED = ROOT / "reports" / "paper" / "published.csv"
DETECTORS = ("mahalanobis", "mlp_head")


def tables(folder: Path, grid: pd.DataFrame) -> list[Path]:
    """Write what the stage reads; return its arguments."""
    rates = np.linspace(0, 1, 21)
    cells = [(pair, lambda_) for pair in PAIRS for lambda_ in (0.0, 1.0)]
    curves = [
        pd.DataFrame(
            {
                "pair": pair,
                "lambda": lambda_,
                "detector": detector,
                "false_positive_rate": rates,
                "true_positive_rate": rates**0.1,
            }
        )
        for pair, lambda_ in cells
        for detector in DETECTORS
    ]
    rng = np.random.default_rng(0)
    points = [
        pd.DataFrame(
            {
                "pair": pair,
                "lambda": lambda_,
                "kind": np.repeat(["normal", "anomaly", "centroid"], [30, 30, 2]),
                "class_name": np.repeat([np.nan, 1, 2], [60, 1, 1]),
                "x": rng.normal(size=62),
                "y": rng.normal(size=62),
            }
        )
        for pair, lambda_ in cells
    ]
    save_csv(folder / "grid.csv", grid)
    save_csv(folder / "roc.csv", pd.concat(curves))
    save_csv(folder / "features.csv", pd.concat(points))
    save_csv(folder / "anomaly_sets.csv", sets_of(grid))
    save_csv(
        folder / "cells.csv", grid[["pair", "lambda", "seed"]].assign(failure="", confirmed="")
    )
    shutil.copy(PUBLISHED, folder / "published.csv")
    names = ("grid", "roc", "features", "anomaly_sets", "cells", "published")
    inputs = [folder / f"{name}.csv" for name in names]
    return [*inputs, folder / "README.md", folder / "figures"]


def grid_with_finer_scale() -> pd.DataFrame:
    """Return both pairs at the paper's lambdas, and the first one on a finer scale."""
    finer = grid_of(plausible, pairs=PAIRS[:1], lambdas=(0.003, 0.03, 10.0))
    return pd.concat([grid_of(plausible), finer]).sort_values(["pair", "lambda", "seed"])


@pytest.fixture(scope="module")
def paper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paper")
    paper.main(*tables(folder, grid_with_finer_scale()))
    return folder


@pytest.fixture(scope="module")
def page(paper_folder: Path) -> str:
    return (paper_folder / "README.md").read_text(encoding="utf-8")


def rows_of(page: str, *starts: str) -> list[list[str]]:
    """Return the cells of the table rows that start with these cells."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines()]
    return [row for row in rows if row[: len(starts)] == list(starts)]


def test_every_published_row_stands_beside_ours(page: str) -> None:
    published = pd.read_csv(PUBLISHED)
    published_rows = [row for row in rows_of(page) if len(row) == 9 and row[1].startswith("`m")]
    assert [(row[3], row[5]) for row in published_rows] == [
        (f"{one['auroc']:.4f}", f"{one['f1']:.4f}") for one in published.to_dict("records")
    ]


def test_our_auroc_is_the_mean_over_the_seeds_of_the_grid(page: str) -> None:
    (row,) = rows_of(page, "MNIST against FashionMNIST", "`mahalanobis`", "0.01")
    seeds = [
        plausible("mnist-fashion-mnist", 0.01, seed)["detectors.mahalanobis.auroc"]
        for seed in range(5)
    ]
    assert row[4] == f"{np.mean(seeds):.4f} ± {np.std(seeds, ddof=1):.4f} (5)"


def test_our_f1_is_worked_out_at_ten_to_one_where_the_published_row_is(page: str) -> None:
    (row,) = rows_of(page, "MNIST against FashionMNIST", "`mahalanobis`", "0.01")
    f1 = []
    for seed in range(5):
        cell = plausible("mnist-fashion-mnist", 0.01, seed)
        missed, false_accept = (
            cell[f"detectors.mahalanobis.false_{x}"] for x in ("reject", "accept")
        )
        f1.append(20 * (1 - missed) / (20 * (1 - missed) + 10 * missed + false_accept))
    assert row[6:] == [
        f"{np.mean(f1):.4f} ± {np.std(f1, ddof=1):.4f} (5)",
        "normal, 10 : 1",
        "0.9524",
    ]


def test_the_page_begins_with_the_number_of_claims_of_each_verdict(page: str) -> None:
    first = page.splitlines()[2]
    counts = [int(number) for number in re.findall(r"\d+", first.partition(". [")[0])]
    assert first.startswith("**Result.** Of ")
    assert counts[0] == sum(counts[1:])
    verdicts = ("confirmed", "not confirmed", "not testable here")
    assert counts[1:] == [page.count(f"| **{verdict}** |") for verdict in verdicts]


def test_rows_that_were_not_run_say_so(page: str) -> None:
    rows = [row for row in rows_of(page) if row and row[0].startswith("ImageNet") and len(row) == 9]
    assert len(rows) == 30
    assert {(row[4], row[6]) for row in rows} == {("not run", "not run")}
    assert "Not run: ImageNet-30 a against b, ImageNet-30 b against c, ImageNet-30 c" in page
    assert "(../photos/README.md)" in page


def test_a_row_of_no_known_balance_has_no_comparable_f1(tmp_path: Path) -> None:
    grid = grid_of(plausible, pairs=["imagenet30-c"], seeds=range(2))
    paper.main(*tables(tmp_path, grid))
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    (row,) = rows_of(text, "ImageNet-30 c against a", "`mlp_head`", "1")
    assert row[6:] == ["not comparable", "unknown: 78% positives", "-"]


def test_the_figures_of_the_paper_and_the_finer_scale_are_drawn(
    paper_folder: Path, page: str
) -> None:
    names = sorted(path.stem for path in (paper_folder / "figures").iterdir())
    assert names == ["classification", "features", "roc", "semi_supervised", "supervised",
                     "sweep_mnist-fashion-mnist"]  # fmt: skip
    for name in names:
        height, width, _ = imread(paper_folder / "figures" / f"{name}.png").shape
        assert min(height, width) >= 500
        assert f"(figures/{name}.png)" in page


def test_the_same_tables_give_the_same_bytes(paper_folder: Path, page: str, tmp_path: Path) -> None:
    paper.main(*tables(tmp_path, grid_with_finer_scale()))
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == page
    for figure in (paper_folder / "figures").iterdir():
        assert (tmp_path / "figures" / figure.name).read_bytes() == figure.read_bytes()


def test_the_text_follows_the_numbers(page: str, tmp_path: Path) -> None:
    """If center loss lowers the AUROC instead of raising it, the verdict changes."""
    grid = grid_with_finer_scale()
    column = "detectors.mahalanobis.auroc"
    grid[column] = 1 - grid[column]
    paper.main(*tables(tmp_path, grid))
    after = (tmp_path / "README.md").read_text(encoding="utf-8")
    for text, verdict in ((page, "**confirmed**"), (after, "**not confirmed**")):
        (row,) = [one for one in rows_of(text, "14") if "raises the AUROC" in one[1]]
        assert row[3] == verdict


def test_a_grid_with_gaps_names_them_and_counts_the_seeds_that_are_left(tmp_path: Path) -> None:
    grid = grid_of(plausible)
    missing = (grid["pair"] == "digit-0") & (grid["lambda"] == 0.1) & (grid["seed"] == 3)
    paper.main(*tables(tmp_path, grid[~missing]))
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Missing cells: MNIST 1 to 9 against 0, lambda 0.1, seed 3." in text
    (row,) = rows_of(text, "MNIST 1 to 9 against 0", "`mlp_head`", "0.1")
    assert row[4].endswith(" (4)")


def test_a_cell_whose_training_failed_is_named_with_the_reason(tmp_path: Path) -> None:
    grid = grid_of(plausible)
    failed = (grid["pair"] == "digit-0") & (grid["lambda"] == 1.0) & (grid["seed"] == 3)
    arguments = tables(tmp_path, grid[~failed])
    message = "train: the training failed 4 times; last failure: dead, at 0.1; remedies: more"
    cell = {"pair": "digit-0", "lambda": 1.0, "seed": 3, "failure": message, "confirmed": ""}
    save_csv(tmp_path / "cells.csv", pd.DataFrame([cell]))
    paper.main(*arguments)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "Missing cells" not in text
    assert (
        "No result: MNIST 1 to 9 against 0, lambda 1, seed 3: the training failed 4 times; last "
        "failure: dead, at 0.1.\n"
    ) in text


def test_the_page_says_which_cells_a_sample_confirmed(tmp_path: Path) -> None:
    grid = grid_of(plausible)
    arguments = tables(tmp_path, grid)
    cells = grid[["pair", "lambda", "seed"]].assign(failure="", confirmed="")
    cells.loc[cells.index[2:], "confirmed"] = "2 cells run again at 0123456789ab"
    save_csv(tmp_path / "cells.csv", cells)
    paper.main(*arguments)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert (
        f"{len(cells) - 2} cells come from an earlier version of the code. A random sample was run "
        "again with later code and gave the same numbers: 2 cells run again at 0123456789ab.\n"
    ) in text


def test_a_single_cell_makes_a_page_that_decides_nothing(tmp_path: Path) -> None:
    paper.main(*tables(tmp_path, grid_of(plausible, pairs=PAIRS[:1], lambdas=[1.0], seeds=[0])))
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "0 confirmed, 0 not confirmed, 18 not testable here" in text
    assert "There is only one seed, so nothing can be tested." in text
    assert "nan" not in text


def test_a_table_without_rows_leaves_out_its_figure(tmp_path: Path) -> None:
    arguments = tables(tmp_path, grid_of(plausible, seeds=range(2)))
    for empty in arguments[1:3]:
        empty.write_text(empty.read_text().splitlines()[0] + "\n")
    paper.main(*arguments)
    names = sorted(path.stem for path in (tmp_path / "figures").iterdir())
    assert names == ["classification", "semi_supervised", "supervised"]


def test_a_pair_that_the_paper_lacks_is_shown_by_its_own_name(tmp_path: Path) -> None:
    grid = grid_of(plausible, pairs=[PAIRS[0], "zoo"], lambdas=[*LAMBDAS, 10.0], seeds=range(2))
    paper.main(*tables(tmp_path, grid))
    assert "### zoo" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "sweep_zoo.png").exists()


def test_a_centroid_bears_the_name_of_its_class(paper_folder: Path) -> None:
    points = pd.read_csv(paper_folder / "features.csv")
    (first, *_) = draw.features(points, PAIRS).axes
    assert [text.get_text() for text in first.texts] == ["1", "2"]


def test_the_line_of_f1_breaks_where_the_balance_of_the_published_rows_changes(
    paper_folder: Path,
) -> None:
    grid, published = pd.read_csv(paper_folder / "grid.csv"), checked(pd.read_csv(PUBLISHED))
    balances = balances_of(published, grid)
    figure = draw.detection(grid, published, balances, "mahalanobis", PAIRS[:1])
    solid = [line.get_xdata() for line in figure.axes[0].lines if line.get_linestyle() == "-"]
    assert [np.asarray(x).tolist() for x in solid] == [[-4.0, -3.0], [-2.0, -1.0, 0.0]]
    labels = [text.get_text() for text in figure.axes[0].texts]
    assert labels[-2:] == ["normal positive, 1 : 1", "normal positive, 10 : 1"]


def test_the_finer_scale_has_a_panel_for_each_detector_and_two_for_the_classifier(
    paper_folder: Path,
) -> None:
    grid = pd.read_csv(paper_folder / "grid.csv")
    figure = sweep(grid, PAIRS[0])
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert sorted(titles[:3]) == ["energy", "mahalanobis", "mlp_head"]
    assert titles[3:] == ["classification: accuracy", "classification: macro F1"]
    panel = figure.axes[titles.index("mahalanobis")]
    means = grid[grid["pair"] == PAIRS[0]].groupby("lambda")["detectors.mahalanobis.auroc"].mean()
    assert panel.get_title(loc="right") == f"{means.max():.4f} at {means.idxmax():g}"


def test_a_panel_shows_mean_and_spread_over_the_seeds_as_what_is_missing_to_1() -> None:
    """0.98 and 0.96 at lambda 0, and twice 1 at lambda 1, which no logarithm has."""
    grid = grid_of(
        lambda _, lambda_, seed: {
            "detectors.energy.auroc": 1.0 if lambda_ else 0.98 - 0.02 * seed,
            "classification.accuracy": 0.99,
            "classification.f1_macro": 0.99,
        },
        pairs=PAIRS[:1],
        lambdas=(0.0, 1.0),
        seeds=range(2),
    )
    panel = sweep(grid, PAIRS[0]).axes[0]
    mean, _, best = panel.lines
    assert np.asarray(mean.get_ydata()).tolist() == pytest.approx([0.03, 5e-5])
    assert np.asarray(best.get_xdata()).tolist() == [0.0]  # the logarithm of 1
    (band,) = panel.collections
    outline = np.asarray(band.get_paths()[0].vertices)
    at_zero = {round(y, 6) for y in outline[outline[:, 0] == -1, 1]}
    sd = 0.02 / 2**0.5
    assert at_zero == {round(0.03 - sd, 6), round(0.03 + sd, 6)}


def test_lambdas_that_lie_close_are_not_all_labelled() -> None:
    lambdas = [0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 10.0]
    assert labelled(places(lambdas)) == [0.0, 0.001, 0.01, 0.1, 10.0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("grid.csv", "pair,lambda,seed\n", "the grid has no column 'data.normal_test'"),
        ("grid.csv", None, "grid.csv: no such file; run `make grid`"),
        ("anomaly_sets.csv", None, "anomaly_sets.csv: no such file; run `make grid`"),
        ("cells.csv", "pair,lambda,seed\n", "cells.csv: expected a column 'failure', got pair"),
        ("anomaly_sets.csv", "pair\n", "anomaly_sets.csv: expected a column 'lambda', got pair"),
        ("roc.csv", "pair,lambda\n", "roc.csv: expected a column 'detector', got pair, lambda"),
        ("published.csv", "network\nlenet\n", "published.csv: expected a column 'normal', got net"),
    ],
)
def test_a_wrong_table_is_one_line_and_leaves_the_last_page(
    name: str, content: str | None, message: str, tmp_path: Path
) -> None:
    arguments = tables(tmp_path, grid_of(plausible, seeds=range(2)))
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(content)
    (tmp_path / "README.md").write_text("the last good one")
    process = run("stages.paper", *arguments)
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith("paper: ")
    assert message in line
    assert (tmp_path / "README.md").read_text() == "the last good one"
    assert not (tmp_path / "figures").exists()
