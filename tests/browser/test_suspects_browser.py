"""The page of `belong clean` on a phone: nothing is cut off."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from belong.commands.clean.page import HEADINGS, suspects_page
from tests import chromium

pytestmark = chromium.needs_browser


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    n = len(HEADINGS)
    manifest = pd.DataFrame({
        "path": ["a" * 200 + "/" + "b" * 200 + ".jpg"] * n,
        "class": ["a_class_with_" + "a_long_name_" * 20] * n,
        "verdict": ["quarantine", "review"] * (n // 2),
        "problem": list(HEADINGS),
        "reason": ["the same image is in " + "another_class" * 20] * n,
        "false_alarms": np.linspace(0, 1, n),
    })  # fmt: skip
    images: dict[int, Path | np.ndarray] = {
        row: np.full((3, 900, 1600), 9 * row, np.uint8) for row in range(n)
    }
    page = suspects_page(
        manifest, images, title="a_folder_" * 40, facts={"images": 10**7, "quarantine": 10**6}
    )
    path = tmp_path_factory.mktemp("clean") / "suspects.html"
    path.write_text(page, encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [320, 420, 1280])
def test_nothing_reaches_beyond_the_screen(file: Path, width: int) -> None:
    with chromium.launched() as browser, chromium.opened(browser, file.as_uri()) as page:
        page.set_viewport_size({"width": width, "height": 900})
        beyond = page.evaluate(
            "[...document.querySelectorAll('body *')]"
            ".filter(one => one.getBoundingClientRect().right > innerWidth"
            " || one.scrollWidth > one.clientWidth + 1 && one.clientWidth)"
            ".map(one => one.outerHTML.slice(0, 80))"
        )
        assert beyond == []
