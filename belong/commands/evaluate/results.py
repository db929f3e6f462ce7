"""Write the two folders of an evaluation: its results, and then the fitted panel.

Two folders cannot appear at once. The results are marked as unfinished until the panel is there, so
that after an interruption the same command writes both.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from belong.commands.evaluate.evaluate import Evaluation, new_folder, write
from belong.runtime.argument_names import heading, named
from belong.runtime.errors import InputError
from belong.runtime.storage import whole_folder
from belong.runtime.text import printable
from belong.runtime.unfinished import is_unfinished, mark, unmark


def check_free(output: Path, panel: Path | None, run: str) -> None:
    """Refuse a folder that exists, except for the results of an unfinished try of this run.

    Raises:
        InputError: a folder exists, or the panel would hold the results.
    """
    if panel is not None:
        results, fitted = (Path(os.path.realpath(one)) for one in (output, panel))
        if fitted in (results, *results.parents):
            raise InputError(
                f"{heading('save_panel')}: expected a folder that neither is nor contains "
                f"{named('output')} {printable(output)}, got {printable(panel)}"
            )
        if is_unfinished(output, run):
            if not os.path.lexists(panel):
                return
            unmark(output)  # the panel, which is written last, is complete
        new_folder(panel)
    new_folder(output)


def save(
    evaluation: Evaluation, output: Path, panel: Path | None, run: str, *, verdicts: bool | None
) -> None:
    """Write the results, and the fitted panel if a folder for it is passed.

    Args:
        evaluation: the results.
        output: a folder for which `check_free` has passed.
        panel: a new folder for the panel, or None.
        run: identifies the run, see `run_of`.
        verdicts: as in `Evaluation.save`.
    """
    if panel is None:
        evaluation.save(output, verdicts=verdicts)
        return
    with whole_folder(output) as part:
        write(evaluation, part, title=output.name, verdicts=verdicts)
        mark(part, run)
    evaluation.panel.save(panel)
    unmark(output)


def run_of(arguments: Mapping[str, object]) -> str:
    """Return the content of the marker file of an unfinished evaluation."""
    return json.dumps({"evaluate": {name: str(value) for name, value in arguments.items()}})
