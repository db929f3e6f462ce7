"""What the tests of predictions share: a small run of the pipeline."""

from pathlib import Path

import pytest

from tests.small_bundle import make_bundle


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the stages on small images; return the folder of their outputs, which no test changes."""
    folder = tmp_path_factory.mktemp("pipeline")
    make_bundle(folder)
    return folder
