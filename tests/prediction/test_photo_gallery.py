"""`belong score` on photos: the page shows them unchanged and lists the unreadable files."""

import base64
import io
import json
import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from belong.commands.main import main
from belong.data import decode_pool, isolation
from belong.prediction.predictor import Predictor
from belong.reporting.gallery import gallery, selection
from tests.untrained_bundle import save_untrained


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two photos, and an image as small as a digit."""
    (tmp_path / "photos").mkdir()
    for name, size in (("a.jpg", (640, 400)), ("b.jpg", (300, 600)), ("c.png", (28, 28))):
        Image.linear_gradient("L").resize(size).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def score(photos: Path) -> dict[str, tuple[int, int] | None]:
    """Return the size of the photo that the page shows of each file, None of a small image."""
    bundle = save_untrained(photos.parent / "model")
    form = bundle.manifest.form.model_copy(update={"max_pixels": 1_000_000})
    larger = bundle.manifest.model_copy(update={"form": form})
    replace(bundle, manifest=larger).save(photos.parent / "model")
    out = photos.parent / "out"
    words = ["--model", str(photos.parent / "model"), "-o", str(out), "--device", "cpu"]
    assert main(["score", str(photos), *words]) == 0
    page = (out / "gallery.html").read_text(encoding="utf-8")
    (text,) = re.findall(r'id="gallery-data">(.*?)</script>', page, re.DOTALL)
    data = json.loads(text)
    pictures = data["pictures"]["photos"]
    return dict(zip(data["images"]["path"], map(size_of, pictures), strict=True))


def size_of(uri: str | None) -> tuple[int, int] | None:
    if uri is None:
        return None
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as image:
        return image.size


def test_the_page_shows_the_whole_photo_and_of_a_small_image_its_pixels(photos: Path) -> None:
    assert score(photos) == {"a.jpg": (320, 200), "b.jpg": (160, 320), "c.png": None}


def test_of_more_files_than_a_page_holds_only_photos_are_decoded_again(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual, decoded_again = score(photos), list[str]()
    usual_page = (photos.parent / "out/gallery.html").read_text("utf-8")
    shutil.rmtree(photos.parent / "out")

    def decoded(batches: Iterable[Sequence[Path]], *words: Any, **options: Any) -> Any:
        batches = list(batches)
        decoded_again.extend(path.name for batch in batches for path in batch)
        return decode_pool.decoded(batches, *words, **options)

    def embedded(*_: object) -> None:
        raise AssertionError("the features are computed again")

    monkeypatch.setattr(selection, "MOST", 2)
    monkeypatch.setattr(selection.telling, "__kwdefaults__", {"most": 3})
    monkeypatch.setattr(gallery, "decoded", decoded)
    monkeypatch.setattr(Predictor, "features", embedded)
    assert score(photos) == usual
    assert decoded_again == ["a.jpg", "b.jpg"]
    assert (photos.parent / "out/gallery.html").read_text("utf-8") == usual_page


def test_heic_photos_that_cannot_be_read_are_told_once_and_listed_with_the_remedy(
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    # The decoding processes must lack it, too; one kept from another test may have it.
    monkeypatch.setattr(isolation, "_idle", [])
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "pillow_heif.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path / "without")
    (photos / "d.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    score(photos)
    message = "1 HEIC photo cannot be read; run pip install pillow-heif"
    assert capsys.readouterr().err.splitlines().count(message) == 1
    text = (photos.parent / "out/unreadable.csv").read_text(encoding="utf-8")
    assert "pip install pillow-heif" in text
    assert text.count("d.heic") == 1
