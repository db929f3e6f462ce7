"""Run a program as a user who may not read every file, or with a disk of its own."""

import functools
import os
import subprocess
from collections.abc import Sequence

import pytest

# Drops root's permission to read every file.
WITHOUT_ROOTS_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
OWN_DISKS = ("unshare", "--user", "--map-root-user", "--mount")


def as_any_user() -> list[str]:
    """Return the prefix of a command that runs it without root's file permissions."""
    if os.geteuid() != 0:
        return []
    if not _works(WITHOUT_ROOTS_RIGHTS):
        pytest.skip("root may read and write everything, and setpriv takes nothing from it here")
    return [*WITHOUT_ROOTS_RIGHTS]


def with_own_disks() -> list[str]:
    """Return the prefix of a command that may mount disks visible only to itself."""
    if not _works(OWN_DISKS):
        pytest.skip("a small disk to fill cannot be mounted here: unshare is refused")
    return [*OWN_DISKS]


@functools.cache
def _works(words: Sequence[str]) -> bool:
    try:
        return subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
