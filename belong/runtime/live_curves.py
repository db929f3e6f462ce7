"""Write the curves of a training while it runs, with DVCLive if it is installed.

DVC's extension for VS Code and DVC Studio draw the curves live; `dvc plots show
FOLDER/plots/metrics` draws the epochs so far. The curves are not outputs of a stage and change no
result.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Watch = Callable[[Mapping[str, Any]], None]


@contextmanager
def live_curves(folder: Path, *, resumes: bool) -> Iterator[Watch]:
    """Yield a function that writes the row of an epoch: `epoch` and metrics.

    Args:
        folder: the folder of the curves, emptied first unless the training resumes.
        resumes: whether the training continues after an interruption.
    """
    if find_spec("dvclive") is None:
        yield lambda _row: None
        return
    from dvclive.live import Live  # an optional dependency

    # `dvcyaml=False`: DVCLive would otherwise write a dvc.yaml of its own.
    with Live(str(folder), resume=resumes, save_dvc_exp=False, dvcyaml=False) as live:

        def watch(row: Mapping[str, Any]) -> None:
            live.step = int(row["epoch"])
            for name, value in row.items():
                if name != "epoch":
                    live.log_metric(name, value)
            live.make_summary()

        yield watch
