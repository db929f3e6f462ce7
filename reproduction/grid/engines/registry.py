"""List the engines by name; Ray and submitit are imported only if requested."""

from pathlib import Path

from belong.runtime.errors import InputError
from reproduction.grid.engines.base import Engine
from reproduction.grid.engines.local import Local

ENGINES = ("local", "ray", "slurm")


def engine_of(name: str, *, clones: Path, logs: Path, threads: int) -> Engine:
    """Return an engine.

    Args:
        name: one of ENGINES.
        clones: the folder below which the commands run.
        logs: a folder for the engine's own logs.
        threads: the number of processors for each command.

    Raises:
        InputError: its package is not installed, or it finds nothing to run on.
    """
    if name == "local":
        return Local(clones)
    try:
        if name == "ray":
            from reproduction.grid.engines.ray import OnRay

            return OnRay(threads=threads)
        from reproduction.grid.engines.slurm import OnSlurm

        return OnSlurm(logs, threads=threads)
    except ModuleNotFoundError as error:
        raise InputError(
            f"--engine {name} needs the package {error.name}: pip install -c constraints.txt "
            f"-e '.[{name}]'"
        ) from None
