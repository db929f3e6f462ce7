"""A clone has the same bytes, whatever git is told about line ends: DVC compares them."""

from pathlib import Path

import pytest

from tests.clones import call, clone_to
from tests.imports import ROOT


@pytest.mark.pipeline
def test_a_clone_with_the_line_ends_of_windows_has_the_same_bytes(tmp_path: Path) -> None:
    origin = clone_to(tmp_path / "origin")
    call(tmp_path, "git", "-c", "core.autocrlf=true", "-c", "core.safecrlf=false", "clone", "-q",
         str(origin), "copy")  # fmt: skip
    files = call(origin, "git", "ls-files", "-z").split("\0")[:-1]
    assert len(files) > 100
    altered_files = [
        name for name in files
        if not (origin / name).is_symlink()
        and (origin / name).read_bytes() != (tmp_path / "copy" / name).read_bytes()
    ]  # fmt: skip
    assert altered_files == []


def test_no_text_of_the_project_has_line_ends_of_windows() -> None:
    file_list = call(ROOT, "git", "ls-files", "--eol")
    assert [line for line in file_list.splitlines() if line.startswith(("i/crlf", "i/mixed"))] == []
