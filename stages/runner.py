"""Run a stage's `main` from the command line, with paths in the order of its parameters.

`python -m stages.runner` checks that the installed packages are those of versions.txt.
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
from belong.runtime.exit_codes import USER_MISTAKE, exit_code_of, skip_final_collection
from belong.runtime.process_lock import end_with_starter, one_writer
from belong.runtime.storage import save_json
from belong.runtime.text import say
from belong.runtime.typed_yaml import read

# Duration of the last run of each stage, a file per stage, for the page of the report.
TIMES = Path("data/times")
# The environment variable with the name of DVC's stage, such as train or data/dvc.yaml:fetch@mnist.
STAGE = "DVC_STAGE"
PIPELINES = (Path("dvc.yaml"), Path("data/dvc.yaml"))
VERSIONS = Path("versions.txt")
PROJECT = ("belong", "reproduction", "stages")
# Files that cannot change a result; neither can any file of belong/runtime.
NO_DEPENDENCIES = ("belong/parameters.py", "stages/runner.py")


def run(main: Callable[..., None]) -> None:
    """Call `main` with the paths of the command line, and exit with its exit code.

    A user's error, or a lack of memory, ends in one line on standard error and exit code 2. Too
    many unreadable files end in exit code 3. Any other exception is a bug and keeps its traceback.

    The last path is an output and is locked while the stage runs. A stage that DVC runs ends when
    DVC ends. It fails if its result depends on something that DVC does not track: an imported file
    of the project that `deps` does not cover, or package versions other than those of versions.txt.
    """
    parameters = list(inspect.signature(main).parameters)
    paths = [Path(argument) for argument in sys.argv[1:]]
    if len(paths) != len(parameters):
        usage = " ".join(name.upper() for name in parameters)
        program = Path(sys.argv[0]).stem
        print(f"usage: python -m stages.{program} {usage}", file=sys.stderr)  # noqa: T201
        sys.exit(USER_MISTAKE)
    skip_final_collection()
    exit_code = exit_code_of(
        lambda: _run(main, paths), say, interrupted="interrupted; no output was written"
    )
    sys.exit(exit_code)


def _run(main: Callable[..., None], paths: list[Path]) -> int:
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
                _check_imports(deps)  # DVC discards the outputs of a failed stage
        except MissingFileError as error:
            if not {error.path, *error.path.parents}.intersection(paths):
                raise  # the parameters name this file
            raise InputError(f"{error}; run `dvc repro`") from None
        _note_time(time.perf_counter() - start)
    return 0


def _deps(address: str) -> list[str] | None:
    """Return the `deps` of a stage of the current folder, or None outside of a project."""
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
            f"imports {', '.join(missing)}: expected `deps` in dvc.yaml to list each imported file "
            "or its folder, because an edit of the file may change the output"
        )


def uncovered(files: Mapping[str, Path], deps: Collection[str], root: Path) -> list[str]:
    """Return the imported files of the project that no dependency covers.

    Files below the root, except installed packages, belong to the project. A module of `PROJECT`
    outside of the root belongs to another copy, and no dependency covers it.

    Args:
        files: module -> file.
        deps: files and folders, relative to the root.
        root: the folder of the project.
    """
    libraries = {*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib"))}
    missing = []
    for module, file in files.items():
        of_project = module.split(".")[0] in PROJECT
        if file.is_relative_to(root):
            if of_project or not any(file.is_relative_to(library) for library in libraries):
                path = file.relative_to(root)
                if not is_exempt(path) and not any(path.is_relative_to(dep) for dep in deps):
                    missing.append(str(path))
        elif of_project:
            missing.append(str(file))
    return sorted(missing)


def is_exempt(path: Path) -> bool:
    """Return whether a file, relative to the root, cannot change a result; no stage lists it."""
    is_init = path.name == "__init__.py" and len(path.parts) == 2
    return is_init or str(path) in NO_DEPENDENCIES or path.parts[:2] == ("belong", "runtime")


def _note_time(seconds: float) -> None:
    """Record the time and the peak memory of a stage if DVC runs it."""
    address = os.environ.get(STAGE)
    if address is None or not TIMES.parent.is_dir():
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on a Mac
    mib = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    record = {"seconds": round(seconds, 3), "peak_mib": round(mib, 1)}
    # The outputs are complete; a failure to record the time is no failure of the stage.
    with contextlib.suppress(OSError):
        save_json(TIMES / f"{address.rpartition(':')[2]}.json", record)


def _check_pinned_versions() -> int:
    check_versions(VERSIONS)
    return 0


if __name__ == "__main__":
    sys.exit(exit_code_of(_check_pinned_versions, say))
