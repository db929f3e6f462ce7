"""The whole workflow: fit, score, review in a browser, learn from the review, score again."""

import csv
import json
from pathlib import Path

import pandas as pd
from PIL import Image
from playwright.sync_api import expect

from belong.commands.main import main
from belong.data.idx import read
from tests import chromium
from tests.imports import ROOT

pytestmark = chromium.needs_browser


def write(folder: Path, name: str, images: slice, source: str, label: int) -> None:
    data = read(ROOT / "tests" / "data" / source)
    folder.mkdir(parents=True, exist_ok=True)
    for place, image in enumerate(data.images[data.labels == label][images]):
        Image.fromarray(image[0]).save(folder / f"{name}{place:03}.png")


def accepted(out: Path, name: str) -> int:
    rows = pd.read_csv(out / "predictions.csv")
    return int(rows["belongs"][rows["path"].str.startswith(name)].sum())


def test_what_a_person_marks_in_the_browser_is_learned(tmp_path: Path) -> None:
    ours, monday, tuesday = (tmp_path / name for name in ("ours", "monday", "tuesday"))
    for label in (0, 1):
        write(ours / str(label), "", slice(120), "mnist-small", label)
        for folder, part in ((monday, slice(120, 140)), (tuesday, slice(140, 160))):
            write(folder, f"digit{label}-", part, "mnist-small", label)
    for folder, part in ((monday, slice(40)), (tuesday, slice(40, 80))):
        write(folder, "=trousers ü", part, "fashion-mnist-small", 1)
    model, better = tmp_path / "model", tmp_path / "model2"
    fit = ["--alpha", "0.2", "--device", "cpu", "--set", "train.epochs=20"]
    assert main(["fit", str(ours), "-o", str(model), *fit]) == 0

    def score(folder: Path, name: Path, out: str) -> Path:
        words = ["--model", str(name), "-o", str(tmp_path / out), "--device", "cpu"]
        assert main(["score", str(folder), *words]) == 0
        return tmp_path / out

    page_of = score(monday, model, "out") / "gallery.html"
    with chromium.launched() as browser, chromium.opened(browser, page_of.as_uri()) as page:
        page.get_by_label("Part of the path").fill("trousers")
        expect(page.locator("#count")).to_have_text("40 of 80 images shown")
        page.locator("summary", has_text="Your answers").click()
        page.get_by_role("button", name="Mark all shown").click()
        expect(page.locator("#reviewed")).to_contain_text("40 of 80 images marked: 0 mine")
        with page.expect_download() as download:
            page.get_by_role("button", name="Save review.csv").click()
        download.value.save_as(tmp_path / "review.csv")
    with (tmp_path / "review.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["folder"] for row in rows} == {str(monday)}
    assert rows[0]["path"] == "./=trousers ü000.png"

    before = score(tuesday, model, "before")
    words = ["--review", str(tmp_path / "review.csv"), "-o", str(better)]
    assert main(["learn", str(model), *words]) == 0
    learned = json.loads((better / "summary.json").read_text(encoding="utf-8"))["learned"]
    assert (learned["answers"]["not_mine"], learned["has_head"]) == (40, True)
    after = score(tuesday, better, "after")
    assert accepted(after, "./=trousers") <= accepted(before, "./=trousers") / 2
    assert accepted(after, "digit") >= 0.6 * 40
    second_scores = score(monday, better, "again")
    with chromium.launched() as browser:
        page_of = second_scores / "gallery.html"
        with chromium.opened(browser, page_of.as_uri()) as page:
            expect(page.locator("#reviewed")).to_have_text("No image is marked.")
