"""What the numbers were computed with: versions and processors, without the machine's name."""

import os
import platform
from importlib.metadata import version

# Those whose version may change a digit.
PACKAGES = (
    "dvc", "numpy", "pandas", "pillow", "safetensors", "scikit-learn", "scipy", "torch",
    "torchvision",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages."""
    return {"Python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def machine() -> dict[str, str]:
    """Return the system, the kind of processor and how many there are."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "processors": str(os.cpu_count() or "unknown"),
    }
