"""What the numbers were computed with: versions and processors, without the machine's name."""

import os
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from belong.runtime import portable_math

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


def machine() -> dict[str, str]:
    """Return the system, the kind of processor, how many there are, and how they computed."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "processors": str(os.cpu_count() or "unknown"),
        "math": portable_math.current(),
    }
