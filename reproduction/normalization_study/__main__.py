r"""Cross center loss with L2 normalization, and look for the recipe of the Mahalanobis distance.

    python -m reproduction.normalization_study trials data/raw/mnist data/raw/fashion-mnist \
        reports/normalized/trials.csv
    python -m reproduction.normalization_study small data/raw/mnist data/raw/fashion-mnist \
        reports/normalized/digits.csv
    python -m reproduction.normalization_study full data/raw/mnist data/raw/fashion-mnist \
        reports/normalized/digits.csv
    python -m reproduction.normalization_study photos data/raw/cifar10 data/raw/fashion-mnist \
        reports/normalized/photos.csv
    python -m reproduction.normalization_study page reports/normalized reports/paper/published.csv \
        reports/normalized/README.md

Each cell trains with the functions of the pipeline. Cells already in a table are not run again.
This is not a stage of dvc.yaml: it takes 1.5 hours on one core, and nothing depends on it.

Reads   sources  IDX files of MNIST and FashionMNIST; or CIFAR-10, a folder for each class below
                 `train` and `test`, and FashionMNIST; or the tables, and the paper's rows
Writes  output   a row for each cell; or the page, and its figure beside it
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from belong.commands.arguments import count
from belong.models import device as devices
from belong.runtime import portable_math
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.progress import bar
from belong.runtime.storage import load_csv, save_csv, save_text, whole_file
from belong.runtime.text import say
from reproduction.normalization_study import digits, photos
from reproduction.normalization_study.figure import against_lambda
from reproduction.normalization_study.page import FIGURE, cells_of, page
from reproduction.normalization_study.recipes import CONFIRMED, DEFAULT, TRIED, Recipe
from reproduction.photo_study.parts import LAMBDAS, PARTS

SEEDS = {"trials": 1, "small": 5, "photos": 5, "full": 5}
FULL = ("mnist-fashion-mnist", "digit-0")
KEY = ["pair", "recipe", "lambda", "seed"]
AnyCell = TypeVar("AnyCell", digits.Cell, photos.Cell)


def main(arguments: Sequence[str]) -> int:
    """Run the cells that are missing, or write the page; return the exit code."""
    options = _parser().parse_args(arguments)
    message = "interrupted; the cells that were finished are written"
    return exit_code_of(lambda: _study(options), say, interrupted=message)


def _study(options: argparse.Namespace) -> int:
    devices.compute_repeatably(1, portable_math.current())
    first, second = options.sources
    if options.kind == "page":
        write_page(first, second, options.output)
        return 0
    seeds = range(options.seeds or SEEDS[options.kind])
    lambdas = options.lambdas or LAMBDAS
    if options.kind == "photos":
        cells = [
            photos.Cell(part, one, seed) for seed in seeds for part in PARTS for one in lambdas
        ]
        with photos.vectors(first, second) as shared:
            run(options.output, cells, lambda cell: photos.measured(cell, shared))
        return 0
    cells_of_digits = {
        "trials": trials(seeds), "small": small(seeds, lambdas), "full": full(seeds, lambdas)
    }  # fmt: skip
    run(
        options.output,
        cells_of_digits[options.kind],
        lambda cell: digits.measured(cell, first, second),
    )
    return 0


def trials(seeds: Iterable[int]) -> list[digits.Cell]:
    """Return the cells that try recipes."""
    return [
        digits.Cell(digits.TRIAL, digits.small(recipe), seed) for seed in seeds for recipe in TRIED
    ]


def small(seeds: Iterable[int], lambdas: Iterable[float]) -> list[digits.Cell]:
    """Return the cells of both pairs at the paper's lambdas, trained on some of the images."""
    return [
        digits.Cell(f"small-{pair}", digits.small(Recipe(DEFAULT.name, one)), seed)
        for seed in seeds
        for one in lambdas
        for pair in FULL
    ]


def full(seeds: Iterable[int], lambdas: Iterable[float]) -> list[digits.Cell]:
    """Return the cells of both pairs, trained on all images: recipes and the paper's lambdas."""
    recipes = [*CONFIRMED, *(Recipe(DEFAULT.name, one) for one in lambdas)]
    return [
        digits.Cell(pair, recipe, seed) for seed in seeds for recipe in recipes for pair in FULL
    ]


def run(
    path: Path, cells: Iterable[AnyCell], measured: Callable[[AnyCell], dict[str, Any]]
) -> None:
    """Measure the cells that a table lacks, and add each to it as soon as it is finished."""
    rows: list[Any] = load_csv(path).to_dict("records") if path.exists() else []
    known = {tuple(row[name] for name in KEY) for row in rows}
    missing = [cell for cell in cells if cell.key not in known]
    with bar(len(missing), path.stem, "cell") as progress:
        for cell in missing:
            rows.append(dict(zip(KEY, cell.key, strict=True)) | measured(cell))
            save_csv(path, pd.DataFrame(rows).sort_values(KEY, kind="stable"))
            progress.update()


def write_page(folder: Path, published: Path, output: Path) -> None:
    """Write the page of the tables in a folder, and draw its figure."""
    of_digits, of_photos, trials = (
        load_csv(folder / f"{name}.csv") for name in ("digits", "photos", "trials")
    )
    figure = output.parent / FIGURE
    figure.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(figure) as path:
        against_lambda(cells_of(of_digits, of_photos)).savefig(path, format="png")
    save_text(output, page(of_digits, of_photos, trials, load_csv(published)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reproduction.normalization_study",
        description="Cross center loss with L2 normalization; try recipes of LeNet.",
    )
    parser.add_argument("kind", choices=[*SEEDS, "page"], help="what is run or written")
    parser.add_argument("sources", type=Path, nargs=2, help="data sets; or tables, paper's rows")
    parser.add_argument("output", type=Path, help="a table, to which cells are added; or the page")
    parser.add_argument("--seeds", type=count, help="default: 5, 1 of the trials")
    parser.add_argument("--lambdas", type=float, nargs="+", help="default: the paper's five")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
