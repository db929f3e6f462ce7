"""Go back from an experiment to what is committed: `make undo`.

    python -m belong.commands.verify.undo .

It works whatever has happened since: another machine made the bytes that the committed dvc.lock
names, DVC has staged files (`core.autostage`), `dvc exp apply` has, a run was killed. Only what the
pipeline writes goes back; other edits stay.

Reads   root   the folder of the pipeline
Writes  root   params.yaml, each dvc.lock and the results under reports/: as committed; what they
               held is the newest entry of `git stash`
               data/: the outputs that dvc.lock names, or else those that this machine last made
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
from belong.commands.verify.mend import alone
from belong.runtime.errors import InputError
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.text import counted, printable, say


def undo(root: Path) -> int:
    """Bring back the files of git, then the outputs; say in a line each what was done.

    Raises:
        InputError: DVC is running in the folder, or nothing is committed.
        IntegrityError: dvc.yaml is damaged.
    """
    with alone(root) as is_alone:
        if not is_alone:
            raise InputError(f"{printable(root)}: DVC is running here; wait for it, or end it")
        _restore_files(root)
    if missing := _restore_outputs(root):
        say(
            f"{missing[0]}{f' and {len(missing) - 1} more' if missing[1:] else ''}: not made on "
            "this machine with these parameters; `make` makes them"
        )
    return 0


def _restore_files(root: Path) -> None:
    _return_to_branch(root)
    for name in git(root, "ls-files", "-z", "--", *written(root)).split("\0"):
        if name and (root / name).is_file():
            # DVC, if killed, leaves an index of git in which a changed file counts as committed.
            os.utime(root / name)
    if not (paths := changed(root)):
        say("params.yaml, dvc.lock and reports/ are as committed")
        return
    kept = _kept(root)
    known = git(root, "ls-files", "-z", "--with-tree=HEAD", "--", *written(root))
    git(
        root, "restore", "--source=HEAD", "--staged", "--worktree",
        "--pathspec-from-file=-", "--pathspec-file-nul", given=known,
    )  # fmt: skip
    git(root, "clean", "--force", "-d", "--quiet", "--", *written(root))  # new files
    say(f"{counted(len(paths), 'file')} as committed again{kept}")


def _return_to_branch(root: Path) -> None:
    """Take HEAD back to its branch: `dvc exp run` detaches it, and leaves it so if killed."""
    if not git(root, "for-each-ref", "refs/exps/exec/EXEC_HEAD"):
        return
    with suppress(InputError):  # git that keeps no log of HEAD does not know the branch
        head, branch = git(root, "rev-parse", "--abbrev-ref", "HEAD", "@{-1}").split()
        commits = git(root, "rev-parse", "HEAD", "@{-1}").split()
        if head == "HEAD" and commits[0] == commits[1]:
            git(root, "symbolic-ref", "HEAD", f"refs/heads/{branch}")


def _kept(root: Path) -> str:
    """Keep what is there in git's stash; say so. In the middle of a merge git cannot."""
    try:
        entry = git(root, "stash", "create").strip()
        git(root, "stash", "store", "--message", "before `make undo`", entry)
    except InputError:
        return ""
    return "; what was there is kept: `git stash show stash@{0}`"


def _restore_outputs(root: Path) -> list[str]:
    """Bring back each output in DVC's cache; return the paths of those that cannot be had."""
    from dvc.exceptions import DvcException  # not at the top: it takes a second
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    held = set(uncached(root))
    try:
        with Repo(str(root)) as repo:
            repo.checkout(force=True, allow_missing=True)
            with repo.lock:
                graph = repo.index.graph
                own = [one for one in graph if Path(one.path).parent == Path(repo.root_dir)]
                missing = [one for one in plan_repro(graph, own) if not _is_whole(one)]
                return [
                    str(out) for one in missing if not _restore_run(one, held) for out in one.outs
                ]
    except DvcException as error:
        raise InputError(f"dvc: {' '.join(str(error).split())}") from None


def _is_whole(stage: Any) -> bool:
    return all(out.exists for out in stage.outs if out.use_cache)


def _restore_run(stage: Any, held: Set[str]) -> bool:
    """Bring back what a stage last made of what it reads now; return whether there is such a run.

    Files that git holds, `held`, do not count: those of this machine's own run have just given way
    to the committed ones.
    """
    from dvc.dependency.base import DependencyDoesNotExistError  # not at the top: see above
    from dvc.stage.loader import StageLoader

    try:
        stage.save_deps()
    except DependencyDoesNotExistError:
        return False
    for run in _runs(stage, held):
        StageLoader.fill_from_lock(stage, run)
        if stage.outs_cached():
            stage.checkout(force=True)
            return True
    return False


def _runs(stage: Any, held: Set[str]) -> Iterator[dict[str, Any]]:
    """Yield the runs of a stage that DVC's cache holds, the newest first."""
    from dvc.stage.serialize import to_single_stage_lockfile  # not at the top: see above

    now = to_single_stage_lockfile(stage)
    files = Path(stage.repo.stage_cache.cache_dir).glob("??/*/*")
    for file in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        text = file.read_text(encoding="utf-8")
        # It takes far longer to parse it.
        if all(md5 in text for md5 in _inputs(now, held).values()):
            run = YAML(typ="safe", pure=True).load(text)
            if _key(run, held) == _key(now, held):
                yield run


def _inputs(run: Mapping[str, Any], held: Set[str]) -> dict[str, str]:
    return {dep["path"]: dep["md5"] for dep in run["deps"] if dep["path"] not in held}


def _key(run: Mapping[str, Any], held: Set[str]) -> tuple[Any, ...]:
    outs = [out["path"] for out in run["outs"]]
    return run["cmd"], run.get("params"), outs, _inputs(run, held)


def main(root: Path) -> int:
    """Go back; return the exit code."""
    return exit_code_of(lambda: undo(root), say)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
