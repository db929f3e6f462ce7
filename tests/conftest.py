"""What every test starts from: one thread, one seed, the same examples in every run."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# No deadline: a busy machine is no bug. The same examples in every run, so that a red test
# stays red until something is mended.
settings.register_profile("belong", deadline=None, derandomize=True)
settings.load_profile("belong")

# The programs that tests start have it, too: DVC would leave one behind that wants to phone home.
os.environ["DVC_NO_ANALYTICS"] = "1"


MARKED = ("pipeline", "browser", "robustness")  # folders whose tests have a marker of that name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of these folders."""
    for item in items:
        folder = Path(item.path).relative_to(Path(__file__).parent).parts[0]
        if folder in MARKED:
            item.add_marker(folder)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Other thread counts add in another order, and share the cores with the other workers."""
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
