"""Run a stage's `main` from the command line: paths in the order of its arguments.

`python -m stages.runner` says whether the installed packages are those of versions.txt.
"""

import contextlib
import inspect
import os
import resource
import sys
import sysconfig
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from belong.runtime.environment import check_versions
from belong.runtime.errors import InputError, MissingFileError
from belong.runtime.exit_codes import USER_MISTAKE, end_at_once, exit_code_of
from belong.runtime.process_lock import end_with_starter, one_writer
from belong.runtime.storage import save_json
from belong.runtime.text import say
from belong.runtime.typed_yaml import read

# How long the last run of each stage took: a file for each, for the report's page.
TIMES = Path("data/times")
# DVC sets it for every stage: such as train, or data/dvc.yaml:fetch@mnist.
STAGE = "DVC_STAGE"
PIPELINES = (Path("dvc.yaml"), Path("data/dvc.yaml"))
VERSIONS = Path("versions.txt")
PROJECT = ("belong", "reproduction", "stages")
# These and all of belong/runtime cannot change a result.
GROUND = ("belong/parameters.py", "stages/runner.py")


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line's paths; end with its exit code.

    A user's mistake is one line on standard error and exit code 2, or 3 if too many of his files
    are bad; so is want of memory. Any other exception is a fault of this program and keeps its
    trace.

    The last path is an output: two processes never write it at a time. A stage that DVC runs ends
    with DVC; it stops with a line where DVC would not see what its result depends on: an imported
    file of the project that its `deps` do not cover, packages other than those of versions.txt.
    """
    wanted = list(inspect.signature(main).parameters)
    paths = [Path(argument) for argument in sys.argv[1:]]
    if len(paths) != len(wanted):
        usage = " ".join(name.upper() for name in wanted)
        program = Path(sys.argv[0]).stem
        print(f"usage: python -m stages.{program} {usage}", file=sys.stderr)  # noqa: T201
        sys.exit(USER_MISTAKE)
    end_at_once()
    ended = exit_code_of(
        lambda: _done(main, paths), say, interrupted="interrupted; no output was written"
    )
    sys.exit(ended)


def _done(main: Callable[..., None], paths: list[Path]) -> int:
    deps: list[str] | None = None
    if STAGE in os.environ:
        end_with_starter()
        deps = _deps(os.environ[STAGE])
    if deps is not None:
        if str(VERSIONS) in deps:
            check_versions(VERSIONS)
        _check_imports(deps)
    with one_writer(paths[-1], say):
        start = time.perf_counter()
        try:
            main(*paths)
            if deps is not None:
                _check_imports(deps)  # DVC keeps nothing of a stage that fails
        except MissingFileError as error:
            if not {error.path, *error.path.parents}.intersection(paths):
                raise  # a file that the parameters name
            raise InputError(f"{error}; `dvc repro` makes it") from None
        _note_time(time.perf_counter() - start)
    return 0


def _deps(address: str) -> list[str] | None:
    """Return the `deps` of a stage, from the folder that it runs in; None outside of a project."""
    name = address.rpartition(":")[2].partition("@")[0]
    files = [file for file in PIPELINES if file.is_file()]
    for file in files:
        if stage := read(file)["stages"].get(name):
            return list(stage.get("deps", []))
    if files:
        raise InputError(f"{address}: expected a stage of {' or '.join(map(str, files))}")
    return None


def _check_imports(deps: Collection[str]) -> None:
    """Raise an InputError if `deps` leave out a file of the project that is imported."""
    loaded = {name: getattr(module, "__file__", None) for name, module in [*sys.modules.items()]}
    files = {name: Path(file) for name, file in loaded.items() if file}
    if missing := uncovered(files, deps, Path.cwd()):
        raise InputError(
            f"imports {', '.join(missing)}: expected `deps` in dvc.yaml to hold each imported file "
            "or its folder, for an edit of it changes what the stage writes"
        )


def uncovered(files: Mapping[str, Path], deps: Collection[str], root: Path) -> list[str]:
    """Return the files of the project that no dependency covers, from the root if they lie there.

    `files`: module -> file. Those of the project lie below the root, installed packages aside; one
    of `PROJECT` that lies elsewhere is another copy's, which nothing covers.
    """
    libraries = {*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))}
    missing = []
    for module, file in files.items():
        of_project = module.split(".")[0] in PROJECT
        if file.is_relative_to(root):
            if of_project or not any(file.is_relative_to(library) for library in libraries):
                path = file.relative_to(root)
                if not is_ground(path) and not any(path.is_relative_to(dep) for dep in deps):
                    missing.append(str(path))
        elif of_project:
            missing.append(str(file))
    return sorted(missing)


def is_ground(path: Path) -> bool:
    """Return whether a file, from the root, cannot change a result: no stage lists it."""
    is_front = path.name == "__init__.py" and len(path.parts) == 2
    return is_front or str(path) in GROUND or path.parts[:2] == ("belong", "runtime")


def _note_time(seconds: float) -> None:
    """Write down the time and the peak memory of a stage that DVC runs, and of no other call."""
    address = os.environ.get(STAGE)
    if address is None or not TIMES.parent.is_dir():
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on a Mac
    mib = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    noted = {"seconds": round(seconds, 3), "peak_mib": round(mib, 1)}
    # The stage's outputs are whole: that its time cannot be written is no failure of the stage.
    with contextlib.suppress(OSError):
        save_json(TIMES / f"{address.rpartition(':')[2]}.json", noted)


def _versions_are_pinned() -> int:
    check_versions(VERSIONS)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code_of(_versions_are_pinned, say))
