"""What every test starts from: one thread, one seed, the same examples in every run."""

import os

import pytest
import torch
from hypothesis import settings

# No deadline: a busy machine is no bug. The same examples in every run, so that a red test
# stays red until something is mended.
settings.register_profile("belong", deadline=None, derandomize=True)
settings.load_profile("belong")

# The programs that tests start have it, too: DVC would leave one behind that wants to phone home.
os.environ["DVC_NO_ANALYTICS"] = "1"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Other thread counts add in another order, and share the cores with the other workers."""
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
