"""What the numbers were computed with: versions and processors, without the machine's name."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from belong.runtime import portable_math
from belong.runtime.errors import InputError

# Those whose version may change a digit.
PACKAGES = (
    "dvc", "numpy", "pandas", "pillow", "safetensors", "scikit-learn", "scipy", "torch",
    "torchvision",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed; DVC is an extra."""
    versions = {"Python": platform.python_version()}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def check_versions(pins: Path) -> None:
    """Check that the installed packages have the versions that a file of `NAME==VERSION` pins.

    A local version, such as 2.15.0+cpu, is of the version before the plus. A package that is not
    installed computes nothing.

    Raises:
        InputError: names those that differ.
    """
    differing = []
    for line in pins.read_text(encoding="utf-8").splitlines():
        name, _, pinned = line.replace(" ", "").partition("==")
        with suppress(PackageNotFoundError):
            if pinned and pinned != (installed := version(name)).partition("+")[0]:
                differing.append(f"{name} {pinned}, got {installed}")
    if differing:
        raise InputError(
            f"{pins}: expected {'; '.join(differing)}: write what is installed there, and all "
            "results are computed again, or install what stands there"
        )


def machine() -> dict[str, str]:
    """Return the system, the kind of processor, how many there are, and how they computed."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "processors": str(os.cpu_count() or "unknown"),
        "math": portable_math.current(),
    }
