"""Cached vectors: the same bytes as without a cache, and no failure because of the cache."""

import multiprocessing
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from torch import Tensor

from belong.models import feature_cache
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.card import DRAWN
from belong.models.backbones.catalog import card_of
from belong.models.feature_cache import FILE, FeatureCache, cached, context_of, users_cache
from belong.models.feature_extraction import embed

CPU = torch.device("cpu")


class Counted:
    """Means of each channel, and how many images they were computed of."""

    def __init__(self) -> None:
        self.images = 0

    def __call__(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return images.float().mean(dim=(2, 3))


def photos(n: int, *, seed: int = 0, side_px: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, 3, side_px, side_px), dtype=torch.uint8, generator=generator)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache" / FILE)


def computed(images: Tensor, cache: FeatureCache | None, *, context: bytes = b"a") -> int:
    """Return the number of computed images; compare the vectors with those without a cache."""
    counting_backbone = Counted()
    vectors = cached(counting_backbone, images, cache, context=context)
    assert vectors.dtype == torch.float32
    assert torch.equal(vectors, Counted()(images))
    return counting_backbone.images


def test_a_known_image_is_not_computed_again(cache: FeatureCache) -> None:
    assert computed(photos(5), cache) == 5
    assert computed(photos(5), cache) == 0
    both = torch.cat([photos(5)[2:], photos(3, seed=1), photos(5)[:2]])
    assert computed(both, cache) == 3


def test_equal_images_are_computed_once(cache: FeatureCache) -> None:
    assert computed(photos(3)[[2, 0, 2, 1, 0, 2]], cache) == 3


def test_without_a_cache_all_are_computed() -> None:
    assert computed(photos(3)[[2, 0, 2]], None) == 3


def test_no_image_is_no_vector(cache: FeatureCache) -> None:
    assert cached(Counted(), photos(0), cache, context=b"a").shape == (0, 3)


def test_more_images_than_are_looked_up_at_once(
    cache: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "AT_ONCE", 4)
    monkeypatch.setattr(feature_cache, "VARIABLES_AT_ONCE", 3)
    assert computed(photos(11), cache) == 11
    assert computed(photos(11), cache) == 0


def test_the_computing_context_is_part_of_the_key(cache: FeatureCache) -> None:
    assert computed(photos(2), cache) == 2
    assert computed(photos(2), cache, context=b"b") == 2


def test_the_shape_of_an_image_is_a_part_of_the_key(cache: FeatureCache) -> None:
    assert computed(photos(2), cache) == 2
    assert computed(photos(2).reshape(2, 3, 4, 9), cache) == 2


def test_backbone_and_torch_are_parts_of_the_context(monkeypatch: pytest.MonkeyPatch) -> None:
    context = context_of("one", CPU)
    assert context == context_of("one", CPU)
    assert context != context_of("two", CPU)
    monkeypatch.setattr(torch, "__version__", "0.1")
    assert context != context_of("one", CPU)


# --- files that do not serve ---------------------------------------------------------------------


def overwritten(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def page_overwritten(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))


@pytest.mark.parametrize("damage", [overwritten, cut_off, page_overwritten])
def test_a_damaged_file_is_begun_again_and_that_is_said_in_one_line(
    damage: Callable[[Path], None], cache: FeatureCache, capsys: pytest.CaptureFixture[str]
) -> None:
    computed(photos(40), cache)
    damage(cache.path)
    assert computed(photos(40), cache) == 40
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"{cache.path}: the cache is damaged (")
    assert computed(photos(40), cache) == 0
    assert capsys.readouterr().err == ""


def test_a_vector_that_was_altered_in_the_file_is_computed_again(cache: FeatureCache) -> None:
    computed(photos(3), cache)
    with closing(sqlite3.connect(cache.path)) as database, database:
        (value,) = database.execute("SELECT vector FROM vectors LIMIT 1").fetchone()
        altered = value[:-1] + bytes([value[-1] ^ 1])
        database.execute("UPDATE vectors SET vector = ? WHERE vector = ?", (altered, value))
    assert computed(photos(3), cache) == 1
    assert computed(photos(3), cache) == 0


@pytest.mark.parametrize("place", ["file/in the way/vectors", "folder"])
def test_where_nothing_can_be_kept_all_is_computed_and_that_is_said_once(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    cache = FeatureCache(tmp_path / place)
    assert computed(photos(2), cache) == 2
    assert computed(photos(2), cache) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{cache.path}: the cache cannot be used (")
    assert line.endswith("); computing all vectors")


def test_a_file_that_may_only_be_read_stays_as_it_is(
    cache: FeatureCache, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`query_only` stands for a read-only disk: the tests may run as root, who writes anywhere."""
    computed(photos(2), cache)
    connect = sqlite3.connect

    def read_only(path: Path, timeout: float) -> sqlite3.Connection:
        database = connect(path, timeout=timeout)
        database.execute("PRAGMA query_only = ON")
        return database

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", read_only)
        assert computed(photos(3), cache) == 1
    assert "attempt to write a readonly database" in capsys.readouterr().err
    assert computed(photos(3), cache) == 1


# --- how much is kept ----------------------------------------------------------------------------


def test_the_least_recently_used_vectors_are_removed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = iter(range(0, 10**9, 7200))
    monkeypatch.setattr(time, "time", lambda: float(next(hours)))
    cache = FeatureCache(tmp_path / FILE, max_bytes=200_000)
    recent, unused = photos(4, seed=1), photos(4, seed=2)
    computed(recent, cache)
    computed(unused, cache)
    for seed in range(3, 40):
        computed(photos(50, seed=seed), cache)
        assert computed(recent, cache) == 0
    assert computed(unused, cache) == 4
    assert computed(photos(50, seed=39), cache) == 0
    assert cache.path.stat().st_size < 1.5 * cache.max_bytes


# --- several at once -----------------------------------------------------------------------------


def keep_some(path: Path, seed: int) -> None:
    cache = FeatureCache(path)
    for at in range(10):
        computed(photos(3, seed=100 * seed + at), cache)


@pytest.mark.robustness
@pytest.mark.parametrize("kind", [Thread, multiprocessing.get_context("fork").Process])
def test_threads_and_processes_may_write_at_once(
    kind: Callable[..., Thread], cache: FeatureCache, capfd: pytest.CaptureFixture[str]
) -> None:
    for turn in range(20):  # each with a new file, whose first use is where they may collide
        path = cache.path.with_name(f"{turn}.sqlite")
        workers = [kind(target=keep_some, args=(path, seed)) for seed in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert capfd.readouterr().err == ""
    for seed in range(4):
        for at in range(10):
            assert computed(photos(3, seed=100 * seed + at), FeatureCache(path)) == 0


# --- where it lies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"BELONG_CACHE": "off", "XDG_CACHE_HOME": "/x"}, None),
        ({"BELONG_CACHE": "/b", "XDG_CACHE_HOME": "/x"}, f"/b/{FILE}"),
        ({"BELONG_CACHE": "", "XDG_CACHE_HOME": "/x"}, f"/x/belong/{FILE}"),
        ({"XDG_CACHE_HOME": "not/absolute"}, f"/home/me/.cache/belong/{FILE}"),
        ({}, f"/home/me/.cache/belong/{FILE}"),
    ],
)
def test_the_variables_say_where_it_lies(
    variables: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    for name in ("BELONG_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    cache = users_cache()
    assert (None if cache is None else cache.path.as_posix()) == expected


# --- a backbone's vectors ------------------------------------------------------------------------


@pytest.mark.pipeline
@pytest.mark.parametrize("name", ["efficientnet_lite0", "efficientnet_b0"])
def test_an_embedding_of_known_photos_costs_no_pass_and_has_the_same_bytes(
    name: str, cache: FeatureCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = Backbone(card_of(name, DRAWN))
    images = photos(7, side_px=40)
    expected = embed(backbone, images, device=CPU)
    embed(backbone, images[[4, 1, 6]], device=CPU, cache=cache)
    # Some in the cache, and others not; then all.
    assert torch.equal(embed(backbone, images, device=CPU, cache=cache), expected)

    def no_pass(*_: object) -> Tensor:
        raise AssertionError("the backbone was called")

    monkeypatch.setattr(Backbone, "vectors", no_pass)
    assert torch.equal(embed(backbone, images, device=CPU, cache=cache), expected)


@pytest.mark.pipeline
def test_vectors_of_other_weights_are_not_mistaken_for_these(cache: FeatureCache) -> None:
    images = photos(2, side_px=40)
    one, two = (Backbone(card_of("resnet18", DRAWN)) for _ in range(2))
    two.redraw(1)
    embed(one, images, device=CPU, cache=cache)
    vectors = embed(two, images, device=CPU, cache=cache)
    assert torch.equal(vectors, embed(two, images, device=CPU))
    assert not np.array_equal(vectors, embed(one, images, device=CPU))
