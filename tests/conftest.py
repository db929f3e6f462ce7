"""Settings of every test: one thread, one seed, the same hypothesis examples in every run."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# No deadline: a busy machine is no bug. The same examples in every run, so that a red test
# stays red until it is fixed.
settings.register_profile("belong", deadline=None, derandomize=True)
settings.load_profile("belong")

# For programs that tests start, too: DVC would leave a process behind that sends statistics.
os.environ["DVC_NO_ANALYTICS"] = "1"
# No results of earlier runs are used, and nothing is left in the user's cache.
os.environ["BELONG_CACHE"] = "off"


MARKED = ("pipeline", "browser", "robustness")  # folders whose tests have a marker of that name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of these folders, and those that use the fixture `pipeline`.

    Slow tests elsewhere are marked where they stand.
    """
    for item in items:
        folder = Path(item.path).relative_to(Path(__file__).parent).parts[0]
        if folder in MARKED:
            item.add_marker(folder)
        if "pipeline" in getattr(item, "fixturenames", ()):
            item.add_marker("pipeline")


@pytest.fixture(scope="session", autouse=True)
def imports_are_no_garbage() -> Iterator[None]:
    """Exclude imported modules from `gc.collect`, which the benchmarks call in each turn."""
    gc.freeze()
    yield
    gc.unfreeze()  # else what triton and ONNX keep in circles is reported as leaked


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Other thread counts change the order of summation and compete with the other workers."""
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
