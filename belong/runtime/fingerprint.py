"""Hash everything that a computation depends on."""

import hashlib
import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from belong.runtime import portable_math

LIBRARY = Path(__file__).parent.parent  # the package, whose code is part of the hash
PACKAGES = ("numpy", "torch", "torchvision")


def fingerprint(settings: Mapping[str, Any], device: torch.device, *inputs: Path) -> str:
    """Return a SHA-256; computations with equal fingerprints yield equal bytes.

    Args:
        settings: JSON values.
        device: the compute device.
        inputs: files.
    """
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    parts = {
        "settings": settings,
        "machine": [platform.machine(), torch.backends.cpu.get_cpu_capability(), gpu],
        "math": portable_math.current(),
        "threads": torch.get_num_threads(),
        "versions": [platform.python_version(), *(version(name) for name in PACKAGES)],
        "code": [
            [file.relative_to(LIBRARY).as_posix(), sha256(file)]
            for file in sorted(LIBRARY.rglob("*.py"))
        ],
        "inputs": [sha256(file) for file in inputs],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
