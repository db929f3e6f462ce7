"""Measure the start of programs."""

import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.contract import Check, Peer, Prepare, Race, Setting

STAGES = Path("stages")


def help_text(_: Setting) -> Race:
    """`belong --help`, against Python that does nothing."""
    return Race(
        what="start of belong --help",
        ours=lambda _: python("-m", "belong", "--help"),
        peers={"python -c pass": Peer(lambda _: python("-c", "pass"), both_end_well)},
    )


def stage(_: Setting, *, name: str) -> Race:
    """Import one stage with all that it needs, against torch alone."""
    return Race(
        what=f"import of stages.{name}",
        ours=lambda _: python("-c", f"import stages.{name}"),
        peers={"import torch": Peer(lambda _: python("-c", "import torch"), both_end_well)},
    )


def all_stages() -> dict[str, Prepare]:
    """Return a row for each program of the pipeline."""
    programs = sorted(
        file.stem for file in STAGES.glob("*.py") if "run(main)" in file.read_text("utf-8")
    )
    return {f"start-{name}": partial(stage, name=name) for name in programs}


def python(*words: str) -> int:
    """Start Python; return its exit code."""
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, check=False).returncode  # noqa: S603


def both_end_well(ours: Sequence[int], theirs: Sequence[int]) -> Check:
    """Compare exit codes with 0."""
    codes = [*ours, *theirs]
    return Check("largest exit code", float(max(map(abs, codes))), 0.0)
