"""Run many cells, a few at a time, and report the progress."""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

from belong.runtime.errors import InputError
from belong.runtime.progress import bar
from reproduction.grid.cell_run import CellError
from reproduction.grid.cells import Cell


def run_all(
    cells: Sequence[Cell], work: Callable[[Cell], None], stop: Callable[[], None], *, jobs: int
) -> dict[Cell, str]:
    """Run the cells in their order and return those that failed, each with the reason.

    Args:
        cells: what to run.
        work: runs one cell; raises CellError, InputError or OSError if it fails.
        stop: makes the running calls of `work` end soon.
        jobs: how many cells run at a time.
    """
    failed: dict[Cell, str] = {}

    def timed(cell: Cell) -> float:
        start = time.monotonic()
        work(cell)
        return time.monotonic() - start

    with (
        bar(len(cells), "grid", "cell") as progress,
        ThreadPoolExecutor(max_workers=jobs) as pool,
    ):
        progress.set_postfix(running=jobs, failed=0)
        futures = {pool.submit(timed, cell): cell for cell in cells}
        try:
            for finished_count, future in enumerate(as_completed(futures), start=1):
                name = futures[future].name
                try:
                    line = f"{name}: {future.result():.1f} s"
                except (CellError, InputError, OSError) as error:
                    failed[futures[future]] = str(error)
                    line = f"{name}: failed, {error}"
                progress.write(line, file=sys.stderr)
                progress.update()
                running = min(jobs, len(cells) - finished_count)
                progress.set_postfix(running=running, failed=len(failed))
        except BaseException:
            for future in futures:
                future.cancel()
            stop()
            raise
    return failed
