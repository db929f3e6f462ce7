"""Call git, and list the tracked files that the pipeline writes."""

import subprocess
from pathlib import Path

from belong.commands.verify.dvc_lock import NAME, uncached
from belong.runtime.errors import InputError

PARAMS = "params.yaml"
# Not declared as an output: it shows the duration of each stage, so its bytes differ between runs.
REPORT = "reports/report.html"


def git(folder: Path, *words: str, stdin: str | None = None) -> str:
    """Run git in a folder, and return its standard output.

    Raises:
        InputError: git fails; the message has the first line of its error.
    """
    try:
        return subprocess.run(  # noqa: S603
            ["git", *words],  # noqa: S607
            cwd=folder,
            input=stdin,
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout
    except FileNotFoundError:
        raise InputError("git: not found; install it, or add it to PATH") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or [f"ended with code {error.returncode}"]
        raise InputError(f"git {words[0]}: {lines[0]}") from None


def written(root: Path) -> list[str]:
    """Return the tracked paths that a run of the pipeline in `root` writes.

    These are the parameters (`dvc exp run -S`), each dvc.lock, and the outputs outside of DVC's
    cache. Tables of other programs, such as the grid, are not included.

    Raises:
        IntegrityError: dvc.yaml is damaged.
    """
    folders = sorted(path.parent.name for path in root.glob("*/dvc.yaml"))
    return [PARAMS, NAME, *(f"{folder}/{NAME}" for folder in folders), *uncached(root), REPORT]


def changed(root: Path) -> list[str]:
    """Return the files among `written` that are new or differ from the committed version.

    Raises:
        InputError: the folder is in no git repository, or nothing is committed.
    """
    git(root, "rev-parse", "--quiet", "--verify", "HEAD^{commit}")
    status = git(
        root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all",
        "--", *written(root),
    )  # fmt: skip
    top = Path(git(root, "rev-parse", "--show-prefix").strip())
    paths = (line[3:] for line in status.split("\0") if line)
    return [Path(path).relative_to(top).as_posix() for path in paths]
