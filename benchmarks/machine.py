"""Describe the machine in one line, without its name."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

PACKAGES = (
    "torch", "torchvision", "numpy", "scipy", "scikit-learn", "pillow", "dvc", "pytorch-ood",
    "pyod", "faiss-cpu", "coniferest",
)  # fmt: skip


def described(threads: int) -> str:
    """Return processor, memory, threads and versions."""
    memory = psutil.virtual_memory().total / 2**30
    versions = ", ".join(f"{name} {number}" for name, number in versions_of(PACKAGES).items())
    return (
        f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}; {threads} "
        f"threads; Python {platform.python_version()}, {versions}"
    )


def processor() -> str:
    """Return the kind of processor: on Linux its full name."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions_of(packages: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the installed packages."""
    versions = {}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
