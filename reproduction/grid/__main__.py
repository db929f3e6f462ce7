"""Run the paper's grid: every cell is an experiment of the pipeline.

    python -m reproduction.grid reports/paper/params.yaml reports/paper --jobs 2

It is not a stage of dvc.yaml, because it runs the pipeline. A cell is not run again if its
experiment, or its rows in the tables, came from the present code, parameters and images. So an
interrupted grid resumes where it stopped, even in another clone.

Reads   grid    yaml: pairs, lambdas, seeds
Writes  folder  grid.csv: a row for each finished cell, with every number of its metrics_all.json;
                roc.csv, features.csv, anomaly_sets.csv: for some of the cells, the curves, the
                features, and the detectors on each set of anomalies; cells.csv: the SHA-256 of
                the code, parameters and images of each cell
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from belong.parameters import Parameters
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.text import counted
from reproduction.grid.cell_run import Workshop, cache_of
from reproduction.grid.cells import Cell, changed, in_running_order
from reproduction.grid.clone_folder import workplace
from reproduction.grid.collect import gather, gathered
from reproduction.grid.confirmation import confirm, differences, drawn
from reproduction.grid.disk_space import free, needed
from reproduction.grid.engines.registry import ENGINES, engine_of
from reproduction.grid.freshness import PARAMS, Currency
from reproduction.grid.grid_file import GridFile
from reproduction.grid.pool import run_all
from reproduction.grid.repository import Repository
from reproduction.grid.tracked_data import not_kept

FAILED = 1
TRAINING_FAILED = "train: the training failed"  # a result: it would fail again, on every machine
BUILD = Path("build", "grid")


def main(arguments: Sequence[str]) -> int:
    """Run the unfinished cells, gather the finished ones, and return the exit code."""
    options = _parser().parse_args(arguments)
    return exit_code_of(
        lambda: _run(options),
        _say,
        interrupted="interrupted; run the same command to resume with the unfinished cells",
    )


def _run(options: argparse.Namespace) -> int:
    grid = GridFile.load(options.grid)
    requested = grid.chosen(options.sweep, options.grid)
    repository = Repository(Path.cwd())
    currency = Currency(repository, repository.head(), grid.pairs)
    fingerprints = {cell: currency.fingerprint(cell) for cell in grid.cells()}
    failed: dict[Cell, str] = {}
    if options.confirm:
        _check(options.grid, currency, grid, requested)
        return _confirm(options, grid, currency, fingerprints)
    if not options.gather:
        _check(options.grid, currency, grid, requested)
        present = gathered(options.folder, {one: fingerprints[one] for one in requested})
        finished_before = present.keys() | currency.finished(requested).keys()
        todo = in_running_order(requested - finished_before)
        _say(f"{len(requested)} cells, {len(finished_before)} of them finished")
        if todo:
            cache = cache_of(repository.root)
            _check_space(currency, todo, cache)
            failed = _make(options, grid, currency, todo, cache)
            _say("`dvc gc -w` frees what the cells left in DVC's cache; the tables stay")
    finished = currency.finished(grid.cells())
    for line in gather(
        repository,
        finished,
        grid.with_curves(),
        grid.curves.detectors,
        options.folder,
        fingerprints,
        _results_in(failed),
    ):
        _say(line)
    present = gathered(options.folder, fingerprints)
    for cell in sorted(requested):
        if reason := present.get(cell, "not run, or run with other code or parameters"):
            log = f"; see {BUILD / 'logs' / cell.name}.log" if cell in failed else ""
            _say(f"{cell.name}: missing: {failed.get(cell, reason)}{log}")
    return FAILED if failed else 0


def _results_in(failed: Mapping[Cell, str]) -> dict[Cell, str]:
    """Return the failures that are results."""
    return {cell: reason for cell, reason in failed.items() if reason.startswith(TRAINING_FAILED)}


def _confirm(
    options: argparse.Namespace,
    grid: GridFile,
    currency: Currency,
    fingerprints: Mapping[Cell, str],
) -> int:
    """Run some stale cells again; keep the others if these have the same rows as before."""
    commit = currency.commit
    cells = drawn(options.folder, fingerprints, options.confirm, commit=commit)
    _say(
        f"{counted(len(cells), 'cell')}, drawn at random: {', '.join(cell.name for cell in cells)}"
    )
    todo = sorted(set(cells) - currency.finished(cells).keys())
    failed = dict[Cell, str]()
    if todo:
        failed = _make(options, grid, currency, todo, cache_of(currency.repository.root))
    failures = _results_in(failed)
    if broken := [f"{cell.name}: {failed[cell]}" for cell in failed if cell not in failures]:
        raise InputError(f"nothing is confirmed: {broken[0]}")
    finished = currency.finished(cells)
    with TemporaryDirectory() as folder:
        of_cells = {cell: fingerprints[cell] for cell in cells}
        gather(
            currency.repository,
            finished,
            grid.with_curves(),
            grid.curves.detectors,
            Path(folder),
            of_cells,
            failures,
        )
        different = differences(options.folder, Path(folder), cells)
    for line in different:
        _say(line)
    if different:
        _say("nothing is confirmed: run the grid again, without --confirm")
        return FAILED
    others = confirm(options.folder, fingerprints, cells, commit=commit)
    _say(
        f"same rows as before: {counted(len(cells), 'cell')}; this confirms "
        f"{counted(others, 'other cell')}"
    )
    return 0


def _check(path: Path, currency: Currency, grid: GridFile, cells: Iterable[Cell]) -> None:
    """Find mistakes before any work: in params.yaml, the pairs' settings and the folder."""
    Parameters.parse(currency.params, Path(PARAMS))
    folders: dict[str, str] = {}
    for cell in sorted({cell.pair: cell for cell in cells}.values()):
        params = changed(currency.params, cell.settings(grid.pairs[cell.pair]))
        values = Parameters.parse(params, Path(f"{path}: pairs.{cell.pair}"))
        for images in (values.normal, values.anomaly, values.unseen, values.further):
            folders[images.path] = cell.pair
    committed = currency.repository.files(currency.commit)
    for folder in not_kept(currency.repository.root, committed, folders):
        raise InputError(
            f"{path}: pairs.{folders[folder]}: expected a folder tracked by git or DVC, got "
            f"{folder}; run `dvc add {folder}`, and commit the result"
        )
    if edited := currency.edited():
        more = f" and {len(edited) - 1} more" if len(edited) > 1 else ""
        raise InputError(
            f"{edited[0]}{more}: edited since the last commit, but the grid runs the committed "
            f"version; run `git commit` or `git stash` first"
        )


def _check_space(currency: Currency, cells: Sequence[Cell], cache: Path) -> None:
    """Report the disk space that the cells need; refuse them if there is less."""
    need, left = needed(currency.stages, currency.last_run(), cells) / 1e9, free(cache) / 1e9
    cells_need = f"{len(cells)} cells need about {need:,.1f} GB"
    if need > left:
        raise InputError(
            f"{cache}: {cells_need} in DVC's cache, but only {left:,.1f} GB are free; run "
            f"`dvc gc -w` to remove unused files, or run fewer cells with `--sweep`"
        )
    _say(f"{cells_need} in DVC's cache; {left:,.1f} GB are free")


def _make(
    options: argparse.Namespace,
    grid: GridFile,
    currency: Currency,
    cells: Sequence[Cell],
    cache: Path,
) -> dict[Cell, str]:
    """Run cells; return those that failed, each with the reason."""
    every = [changed(currency.params, cell.settings(grid.pairs[cell.pair])) for cell in cells]
    threads = max(params["threads"] for params in every)
    jobs, cores = min(options.jobs, len(cells)), os.cpu_count() or 1
    if options.engine == "local" and jobs * threads > cores:
        _say(
            f"--jobs {jobs} with {threads} threads each on {cores} cores: the threads compete, "
            f"which may take twenty times longer"
        )
    logs = BUILD / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with workplace(BUILD.resolve()) as clones:
        engine = engine_of(options.engine, clones=clones, logs=logs.resolve(), threads=threads)
        for ending in (signal.SIGTERM, signal.SIGHUP):  # not before: Ray has handlers of its own
            signal.signal(ending, signal.default_int_handler)  # clean up as after Ctrl-C
        workshop = Workshop(
            repository=currency.repository,
            commit=currency.commit,
            cache=cache,
            place=clones,
            logs=logs.resolve(),
            engine=engine,
        )
        return run_all(
            cells,
            lambda cell: workshop.run(cell, grid.pairs[cell.pair]),
            engine.stop,
            jobs=jobs,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m reproduction.grid",
        description="Run the unfinished cells of a grid, and collect the results.",
    )
    parser.add_argument("grid", type=Path, help="YAML file with pairs, lambdas and seeds")
    parser.add_argument("folder", type=Path, help="folder for the tables")
    parser.add_argument(
        "--jobs",
        type=_count,
        default=1,
        metavar="N",
        help="cells in parallel (default: 1)",
    )
    parser.add_argument(
        "--engine", choices=ENGINES, default="local", help="engine of the cells (default: local)"
    )
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="NAME",
        help="run this sweep of the file (may be repeated; default: those that are by_default)",
    )
    parser.add_argument("--gather", action="store_true", help="run nothing, only write the tables")
    parser.add_argument(
        "--confirm",
        type=_count,
        metavar="N",
        help="after a refactoring: run N stale cells again, and keep the others if nothing differs",
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _say(text: str) -> None:
    for line in text.splitlines():
        print(f"grid: {line}", file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
