"""Record the environment of a computation: package versions and processors, no machine name."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from belong.runtime import portable_math
from belong.runtime.errors import InputError

# Packages whose version may change a result.
PACKAGES = (
    "dvc", "numpy", "pandas", "pillow", "safetensors", "scikit-learn", "scipy", "torch",
    "torchvision",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed packages; DVC is optional."""
    versions = {"Python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def check_versions(pins: Path) -> None:
    """Check that the installed packages have the versions pinned in a file of `NAME==VERSION`.

    A local version, such as 2.15.0+cpu, counts as the version before the plus. Packages that are
    not installed are skipped.

    Raises:
        InputError: versions differ; the message names the packages.
    """
    differing = []
    for line in pins.read_text(encoding="utf-8").splitlines():
        name, _, pinned = line.replace(" ", "").partition("==")
        with suppress(PackageNotFoundError):
            if pinned and pinned != (installed := version(name)).partition("+")[0]:
                differing.append(f"{name} {pinned}, got {installed}")
    if differing:
        raise InputError(
            f"{pins}: expected {'; '.join(differing)}: install the pinned versions, or pin the "
            "installed ones, which computes all results again"
        )


def machine() -> dict[str, str]:
    """Return the system, the type and number of processors, and the math mode."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "processors": str(os.cpu_count() or "unknown"),
        "math": portable_math.current(),
    }
