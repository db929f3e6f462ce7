"""Return from an experiment to the committed state: `make undo`.

    python -m belong.commands.verify.undo .

It also works if another machine computed the committed results, if DVC has staged files
(`core.autostage`, `dvc exp apply`), and after a killed run. Only files that the pipeline writes are
restored; other edits stay.

Reads   root   the folder of the pipeline
Writes  root   params.yaml, each dvc.lock and the results under reports/: the committed versions;
               the replaced versions are the newest entry of `git stash`
               data/: the outputs in dvc.lock, or else the newest ones that this machine computed
               with the committed parameters, code and images
"""

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from belong.commands.verify.dvc_lock import uncached
from belong.commands.verify.git import changed, git, written
from belong.commands.verify.repair import alone
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.text import counted, printable, say


def undo(root: Path) -> int:
    """Restore the tracked files, then the outputs; report each step in a line.

    Raises:
        InputError: DVC is running in the folder, or nothing is committed.
        IntegrityError: dvc.yaml is damaged.
    """
    with alone(root) as is_alone:
        if not is_alone:
            raise InputError(
                f"{printable(root)}: DVC is running here; wait for its end, or stop it"
            )
        _restore_files(root)
    if missing := _restore_outputs(root):
        say(
            f"{missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''}: not computed "
            "on this machine with these parameters; run `make`"
        )
    return 0


def _restore_files(root: Path) -> None:
    _return_to_branch(root)
    for name in git(root, "ls-files", "-z", "--", *written(root)).split("\0"):
        if name and (root / name).is_file():
            # A killed DVC leaves a git index in which a changed file counts as committed.
            os.utime(root / name)
    if not (paths := changed(root)):
        say("params.yaml, dvc.lock and reports/ are as committed")
        return
    backup = _back_up(root)
    tracked = git(root, "ls-files", "-z", "--with-tree=HEAD", "--", *written(root))
    git(
        root, "restore", "--source=HEAD", "--staged", "--worktree",
        "--pathspec-from-file=-", "--pathspec-file-nul", stdin=tracked,
    )  # fmt: skip
    git(root, "clean", "--force", "-d", "--quiet", "--", *written(root))  # new files
    say(f"{counted(len(paths), 'file')} restored to the committed version{backup}")


def _return_to_branch(root: Path) -> None:
    """Set HEAD to its branch again: a killed `dvc exp run` leaves it detached."""
    if not git(root, "for-each-ref", "refs/exps/exec/EXEC_HEAD"):
        return
    with suppress(InputError):  # without a log of HEAD, git does not know the branch
        head, branch = git(root, "rev-parse", "--abbrev-ref", "HEAD", "@{-1}").split()
        commits = git(root, "rev-parse", "HEAD", "@{-1}").split()
        if head == "HEAD" and commits[0] == commits[1]:
            git(root, "symbolic-ref", "HEAD", f"refs/heads/{branch}")


def _back_up(root: Path) -> str:
    """Stash the current files, and return a hint; empty during a merge, when git cannot stash."""
    try:
        entry = git(root, "stash", "create").strip()
        git(root, "stash", "store", "--message", "before `make undo`", entry)
    except InputError:
        return ""
    return "; the previous version is in the stash: `git stash show stash@{0}`"


def _restore_outputs(root: Path) -> list[str]:
    """Restore each output from DVC's cache; return the paths of missing ones."""
    from dvc.exceptions import DvcException  # imported here: it takes a second
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    tracked = set(uncached(root))
    try:
        with Repo(str(root)) as repo:
            repo.checkout(force=True, allow_missing=True)
            with repo.lock:
                graph = repo.index.graph
                top = [stage for stage in graph if Path(stage.path).parent == Path(repo.root_dir)]
                return [
                    str(out)
                    for stage in plan_repro(graph, top)
                    if not _is_complete(stage) and not _restore_run(stage, tracked)
                    for out in stage.outs
                ]
    except DvcException as error:
        raise InputError(f"dvc: {' '.join(str(error).split())}") from None


def _is_complete(stage: Any) -> bool:
    return all(out.exists for out in stage.outs if out.use_cache)


def _restore_run(stage: Any, tracked: Set[str]) -> bool:
    """Restore a stage's newest outputs for its current inputs; return whether there are any.

    Inputs that git tracks are ignored: the committed versions have just replaced those of this
    machine's run.
    """
    from dvc.dependency.base import DependencyDoesNotExistError  # imported here: see above
    from dvc.stage.loader import StageLoader

    try:
        stage.save_deps()
    except DependencyDoesNotExistError:
        return False
    for run in _runs(stage, tracked):
        StageLoader.fill_from_lock(stage, run)
        if stage.outs_cached():
            stage.checkout(force=True)
            return True
    return False


def _runs(stage: Any, tracked: Set[str]) -> Iterator[dict[str, Any]]:
    """Yield the runs of a stage in DVC's cache, the newest first."""
    from dvc.stage.serialize import to_single_stage_lockfile  # imported here: see above

    now = to_single_stage_lockfile(stage)
    files = Path(stage.repo.stage_cache.cache_dir).glob("??/*/*")
    for file in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        text = file.read_text(encoding="utf-8")
        # Parsing takes far longer than this search.
        if all(md5 in text for md5 in _inputs(now, tracked).values()):
            run = YAML(typ="safe", pure=True).load(text)
            if _key(run, tracked) == _key(now, tracked):
                yield run


def _inputs(run: Mapping[str, Any], tracked: Set[str]) -> dict[str, str]:
    return {dep["path"]: dep["md5"] for dep in run["deps"] if dep["path"] not in tracked}


def _key(run: Mapping[str, Any], tracked: Set[str]) -> tuple[Any, ...]:
    outs = [out["path"] for out in run["outs"]]
    return run["cmd"], run.get("params"), outs, _inputs(run, tracked)


def main(root: Path) -> int:
    """Restore the committed state; return the exit code."""
    return exit_code_of(lambda: undo(root), say)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
