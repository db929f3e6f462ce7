"""Run stages of dvc.yaml one after the other, without DVC, with all their files in one folder.

What the stages are, in which order they run, what they read and what they write stands in
dvc.yaml alone; `belong fit` and the tests go through here.
"""

import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from belong.runtime.errors import InputError
from belong.runtime.typed_yaml import read

PROGRAM = re.compile(r"python -m stages\.(\w+) ")


@dataclass(frozen=True)
class Step:
    """One stage of dvc.yaml.

    Attributes:
        name: of the stage.
        desc: what it does, in a line.
        program: the module in `stages`.
        words: the arguments of its command: params.yaml, then paths.
        outputs: those of the words that it writes.
    """

    name: str
    desc: str
    program: str
    words: tuple[str, ...]
    outputs: frozenset[str]

    @classmethod
    def of(cls, name: str, stage: dict[str, Any]) -> "Step":
        """Read one entry of `stages`."""
        command = " ".join(stage["cmd"].split())
        found = PROGRAM.match(command)
        if found is None:
            raise InputError(f"dvc.yaml: {name}: no command of the form python -m stages.NAME")
        listed = [*stage.get("outs", []), *stage.get("metrics", [])]
        outputs = frozenset(one if isinstance(one, str) else next(iter(one)) for one in listed)
        return cls(name, stage["desc"], found[1], tuple(command[found.end() :].split()), outputs)


def steps_to(targets: Iterable[str], pipeline: Path) -> list[Step]:
    """Return the stages called `targets` and all that they need, in the order of the file.

    Raises:
        InputError: the pipeline has no such stage.
    """
    every = {name: Step.of(name, stage) for name, stage in read(pipeline)["stages"].items()}
    wanted = list(targets)
    for name in wanted:  # grows on the way
        if name not in every:
            raise InputError(f"{pipeline}: has no stage {name}")
        step = every[name]
        wanted += [
            other.name
            for other in every.values()
            if other.outputs & (set(step.words) - step.outputs) and other.name not in wanted
        ]
    return [step for name, step in every.items() if name in wanted]


def run_steps(
    steps: Iterable[Step],
    params: Path,
    pipeline: Path,
    folder: Path,
    *,
    before: Callable[[Step], None] = lambda _: None,
    after: Callable[[Step], None] = lambda _: None,
) -> None:
    """Run the stages in this process.

    Args:
        steps: as `steps_to` returns them.
        params: the parameters, in the place of params.yaml.
        pipeline: dvc.yaml itself, which one of the stages shows.
        folder: takes the place of the project's: data/x becomes FOLDER/data/x.
        before: is told each stage before it runs.
        after: is told each stage when its outputs are there.
    """
    known = {"params.yaml": params, "dvc.yaml": pipeline}
    for step in steps:
        before(step)
        module = importlib.import_module(f"stages.{step.program}")
        module.main(*(known.get(word, folder / word) for word in step.words))
        after(step)
