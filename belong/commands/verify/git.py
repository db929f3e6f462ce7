"""What git holds of a pipeline's files, and which of them the pipeline writes."""

import subprocess
from pathlib import Path

from belong.commands.verify.dvc_lock import NAME, uncached
from belong.runtime.errors import InputError

PARAMS = "params.yaml"
# No output of a stage, for it shows how long they took and its bytes differ from run to run.
REPORT = "reports/report.html"


def git(folder: Path, *words: str, given: str | None = None) -> str:
    """Run git in a folder, `given` on its standard input; return what it prints.

    Raises:
        InputError: git fails; with its first line.
    """
    try:
        return subprocess.run(  # noqa: S603
            ["git", *words],  # noqa: S607
            cwd=folder,
            input=given,
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout
    except FileNotFoundError:
        raise InputError("git is not installed, or not on the PATH") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"ended with code {error.returncode}"]
        raise InputError(f"git {words[0]}: {lines[0]}") from None


def written(root: Path) -> list[str]:
    """Return the paths that git holds and a run of the pipeline in `root` writes.

    The parameters (`dvc exp run -S`), each dvc.lock, and the outputs that are not in DVC's cache.
    Tables that another program makes, such as those of a grid, are not among them.

    Raises:
        IntegrityError: dvc.yaml is damaged.
    """
    inside = sorted(path.parent.name for path in root.glob("*/dvc.yaml"))
    return [PARAMS, NAME, *(f"{folder}/{NAME}" for folder in inside), *uncached(root), REPORT]


def changed(root: Path) -> list[str]:
    """Return the files among `written` that differ from what is committed, new ones included.

    Raises:
        InputError: the folder is in no git repository, or nothing is committed.
    """
    git(root, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    listed = git(
        root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all",
        "--", *written(root),
    )  # fmt: skip
    top = Path(git(root, "rev-parse", "--show-prefix").strip())
    paths = (line[3:] for line in listed.split("\0") if line)
    return [Path(path).relative_to(top).as_posix() for path in paths]
