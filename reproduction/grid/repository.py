"""Read commits, their files, and the experiments of DVC from git."""

import functools
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from belong.runtime.errors import InputError

EXPERIMENTS = "refs/exps"


@dataclass(frozen=True)
class Experiment:
    """A finished experiment: DVC creates the ref only when the last stage is done.

    Attributes:
        ref: refs/exps/(the commit it started from, cut after two letters)/(its name).
        commit: parameters, code and results in one tree.
    """

    ref: str
    commit: str

    @property
    def name(self) -> str:
        """The name that `dvc exp run --name` was given."""
        return self.ref.rpartition("/")[2]


@dataclass(frozen=True)
class Repository:
    """A git repository, by its top folder."""

    root: Path

    def git(self, *words: str) -> str:
        """Run git and return what it prints.

        Raises:
            InputError: git is not installed, or fails; the message ends with its last line.
        """
        try:
            process = subprocess.run(  # noqa: S603
                ["git", *words],  # noqa: S607
                cwd=self.root,
                capture_output=True,
                text=True,
                encoding="utf-8",
                check=False,
            )
        except FileNotFoundError:
            raise InputError("git is not installed, or not on the PATH") from None
        if process.returncode != 0:
            lines = process.stderr.strip().splitlines() or [f"ended with code {process.returncode}"]
            raise InputError(f"git {words[0]}: {lines[-1]}")
        return process.stdout

    def head(self) -> str:
        """Return the commit that is checked out."""
        return self.git("rev-parse", "HEAD").strip()

    def files(self, commit: str) -> dict[str, str]:
        """Return every path in a commit with the hash of its content."""
        listed = self.git("ls-tree", "-r", "-z", commit).split("\0")
        lines = (line.partition("\t") for line in listed if line)
        return {path: about.split()[2] for about, _, path in lines}

    def text(self, content: str) -> str:
        """Return a file by the hash of its content."""
        return _text(self.root, content)

    def changes(self) -> list[str]:
        """Return the tracked paths that differ from what is committed."""
        listed = self.git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=no")
        return [line[3:] for line in listed.split("\0") if line]

    def identity(self) -> dict[str, str]:
        """Return the environment that lets DVC commit an experiment, whoever the user is.

        DVC needs a name; a clone lacks a name that is set only in this repository.
        """
        known = {}
        for key, default in (("name", "belong"), ("email", "belong@localhost")):
            value = self.git("config", "--default", default, "--get", f"user.{key}").strip()
            for role in ("AUTHOR", "COMMITTER"):
                variable = f"GIT_{role}_{key.upper()}"
                known[variable] = os.environ.get(variable, value)
        return known

    def experiments(self) -> Iterator[Experiment]:
        """Yield the experiments, newest first."""
        listed = self.git(
            "for-each-ref",
            "--sort=-committerdate",
            "--format=%(objectname) %(refname)",
            f"{EXPERIMENTS}/??/*/*",  # not refs/exps/exec, which is DVC's own
        )
        for line in listed.splitlines():
            commit, ref = line.split(" ", 1)
            yield Experiment(ref, commit)

    def take(self, folder: Path, name: str, started_from: str) -> None:
        """Fetch an experiment from the clone in `folder`; it replaces an older one of that name.

        Raises:
            InputError: the clone has no such experiment.
        """
        ref = f"{EXPERIMENTS}/{started_from[:2]}/{started_from[2:]}/{name}"
        self.git(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(folder), f"+{ref}:{ref}"
        )


# A blob never changes; the parameters of an experiment are looked at before and after the run.
@functools.lru_cache(maxsize=10_000)
def _text(root: Path, content: str) -> str:
    return Repository(root).git("cat-file", "blob", content)
