"""A progress bar is never the reason why a program fails."""

import sys

import pytest

from belong.runtime.progress import bar


@pytest.mark.parametrize("label", ["images", "", None])
def test_without_standard_error_there_is_no_bar(
    monkeypatch: pytest.MonkeyPatch, label: str | None
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with bar(2, label, "image") as progress:
        progress.update()
    assert progress.disable


def test_where_standard_error_is_no_terminal_nothing_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with bar(2, "images", "image") as progress:
        progress.update(2)
    assert capsys.readouterr().err == ""
