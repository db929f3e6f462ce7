"""Curves of a training while it runs: DVCLive writes them, where it is installed.

DVC's extension for VS Code and DVC Studio draw them live; `dvc plots show FOLDER/plots/metrics`
draws those so far. They are no output of a stage and change no result.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Watch = Callable[[Mapping[str, Any]], None]


@contextmanager
def live_curves(folder: Path, *, resumes: bool) -> Iterator[Watch]:
    """Yield what is told the row of each epoch, `epoch` and numbers, and writes them down.

    Args:
        folder: of the curves; emptied first unless the training goes on after an interruption.
        resumes: whether it does.
    """
    if find_spec("dvclive") is None:
        yield lambda _row: None
        return
    from dvclive.live import Live  # an optional extra

    # `dvcyaml`: else it writes a dvc.yaml of its own.
    with Live(str(folder), resume=resumes, save_dvc_exp=False, dvcyaml=False) as live:

        def watch(row: Mapping[str, Any]) -> None:
            live.step = int(row["epoch"])
            for name, value in row.items():
                if name != "epoch":
                    live.log_metric(name, value)
            live.make_summary()

        yield watch
