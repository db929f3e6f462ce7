"""The page of `belong evaluate` in a browser."""

from pathlib import Path

import numpy as np

import belong
from tests import chromium


@chromium.needs_browser
def test_a_heading_sorts_and_names_are_text(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test, odd = rng.normal([[[0]], [[0]], [[4]]], size=(3, 200, 5))
    sets = {"<b>far</b>": odd, "same": rng.normal(size=(50, 5))}
    names = ["mahalanobis", "feature_knn", "gmm"]
    labels = np.arange(200) % 2
    belong.evaluate(train, test, sets, labels=labels, detectors=names, output=tmp_path / "out")
    with (
        chromium.launched() as browser,
        chromium.opened(browser, (tmp_path / "out" / "report.html").as_uri()) as page,
    ):
        assert page.locator("h2").all_inner_texts() == ["<b>far</b>", "same"]
        table = page.locator("table").first
        table.locator("thead button", has_text="detector").click()
        assert table.locator("tbody th").all_inner_texts() == sorted(names)
