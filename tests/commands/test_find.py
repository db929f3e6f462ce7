"""`belong find`: the order, copies that do not hide, interruptions, folders that are too small."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.decomposition import PCA
from torch import Tensor, nn

import belong
from belong.commands.find import find as finding
from belong.commands.find import images as reading
from belong.commands.find.methods import (
    LOCAL,
    METHODS,
    distance_to_others,
    linear_codes,
    measure,
    surprise,
)
from belong.commands.fit.settings import parameters
from belong.commands.main import main
from belong.runtime.errors import InputError, TooManyBadFilesError
from belong.runtime.storage import load_csv, read_bytes
from tests.idx_files import idx_bytes
from tests.photo_folders import write_images


class Colors(nn.Module):
    """A fast backbone: the mean colors of 16 squares."""

    mean, std, side_px = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 36

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)


OPTIONS = belong.FindOptions(
    backbone=Colors(), top=3, jobs=1, settings={"detectors.code_iforest.trees": 50}
)


def clouds(seed: int) -> np.ndarray:
    """Return blue clouds (64, 64, 3) uint8, different for each seed."""
    small = np.random.default_rng(seed).integers(0, 90, (6, 6)).astype(np.uint8)
    grey = np.asarray(Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC))
    return np.stack([grey, grey + 20, grey + 120], axis=-1)


def disc() -> np.ndarray:
    """Return a red disc on yellow: (64, 64, 3) uint8."""
    y, x = np.mgrid[:64, :64] - 32
    is_inside = (x**2 + y**2 < 400)[..., None]
    return np.where(is_inside, (200, 20, 30), (240, 230, 40)).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 60 photos of clouds, and a disc that was saved seven times, larger and brighter."""
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(60):
        (folder / str(seed % 3)).mkdir(exist_ok=True)
        Image.fromarray(clouds(seed)).save(folder / str(seed % 3) / f"{seed:02}.png")
    for copy in range(7):
        image = Image.fromarray(disc()).resize((64 + 8 * copy, 64 + 8 * copy))
        image.point(lambda value, more=copy: min(255, value + more)).save(
            folder / f"copy{copy}.png"
        )
    return folder


@pytest.fixture(scope="module")
def result(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> belong.FindResult:
    return belong.find(photos, tmp_path_factory.mktemp("results") / "found", OPTIONS)


@pytest.mark.pipeline
def test_seven_copies_of_a_foreign_image_do_not_hide_behind_each_other(
    result: belong.FindResult,
) -> None:
    table = result.to_pandas()
    first = table[table["path"].str.startswith("copy")]
    assert first["rank"].tolist() == [1] * 7
    assert first["group"].tolist() == [1] * 7
    assert table.loc[7:, "rank"].min() == 2
    assert table.loc[7:, "group"].isna().all()


def test_each_image_has_a_score_and_a_rank_by_each_method(result: belong.FindResult) -> None:
    table = result.to_pandas()
    assert len(table) == 67
    for name in METHODS:
        distinct = table.drop_duplicates(f"{name}_rank").sort_values(f"{name}_rank")
        assert distinct[f"{name}_rank"].tolist() == list(range(1, 62))
        assert distinct[name].is_monotonic_decreasing


def test_the_summary_promises_nothing_and_says_why(result: belong.FindResult) -> None:
    assert (result.summary["images"], result.summary["distinct"]) == (67, 61)
    assert result.summary["promise"] is None
    assert "ranking, not a verdict" in result.summary["reason"]


def test_the_page_shows_the_top_of_each_method_and_says_how_many_copies_there_are(
    result: belong.FindResult,
) -> None:
    page = (result.output / "gallery.html").read_text(encoding="utf-8")
    assert page.count("<img") == 3 * (len(METHODS) + 2)
    assert "and 6 copies of it" in page
    assert "This is a ranking, not a verdict" in page


@pytest.mark.robustness
def test_an_interrupted_run_goes_on_and_gives_the_same_table(
    photos: Path, result: belong.FindResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "AT_ONCE", 30)
    content, sizes = finding.Job.content, list[int]()

    def interrupted(job: finding.Job, pixels: np.ndarray) -> np.ndarray:
        if sizes:
            raise KeyboardInterrupt
        sizes.append(len(pixels))
        return content(job, pixels)

    monkeypatch.setattr(finding.Job, "content", interrupted)
    with pytest.raises(KeyboardInterrupt, match="30 of 67 images are read"):
        belong.find(photos, tmp_path / "found", OPTIONS)
    assert not (tmp_path / "found" / "strange.csv").exists()

    def counted(job: finding.Job, pixels: np.ndarray) -> np.ndarray:
        sizes.append(len(pixels))
        return content(job, pixels)

    monkeypatch.setattr(finding.Job, "content", counted)
    second_result = belong.find(photos, tmp_path / "found", OPTIONS)
    assert sizes == [30, 30, 7]
    for name in ("strange.csv", "unreadable.csv"):
        assert read_bytes(second_result.output / name) == read_bytes(result.output / name)
    assert sorted(path.name for path in second_result.output.iterdir()) == [
        "gallery.html", "ignored.csv", "strange.csv", "summary.json", "unreadable.csv",
    ]  # fmt: skip


def test_frames_of_a_film_are_what_is_usual_and_no_copies(tmp_path: Path) -> None:
    for frame in range(30):
        image = np.roll(disc(), frame // 3, axis=1).astype(float) + frame % 3
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(tmp_path / f"{frame:02}.png")
    Image.fromarray(clouds(1)).save(tmp_path / "odd.png")
    table = belong.find(tmp_path, tmp_path.parent / "film", OPTIONS).to_pandas()
    assert table["path"].iloc[0] == "odd.png"
    assert table["rank"].nunique() > 10


def test_what_cannot_be_read_and_what_is_no_image_is_listed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_images(folder, *(f"a/{n}.png" for n in range(5)), side_px=64)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "notes.txt").write_text("no image")
    result = belong.find(folder, tmp_path / "out", OPTIONS)
    assert load_csv(result.output / "unreadable.csv")["path"].tolist() == ["broken.png"]
    assert load_csv(result.output / "ignored.csv")["path"].tolist() == ["notes.txt"]
    assert (result.summary["images"], result.summary["unreadable"]) == (5, 1)
    assert "5 different images say little" in result.summary["notes"][0]


@pytest.mark.pipeline
def test_three_images_are_ranked_with_a_word_of_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "in", "a.png", "b.png", "c.png", side_px=12, grey=True)
    assert main(["find", str(tmp_path / "in"), "-o", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.startswith("3 images, 3 distinct\nthe most unusual:\n  1. ")
    page = (tmp_path / "out" / "gallery.html").read_text(encoding="utf-8")
    assert "3 different images say little about what is usual in the folder" in page


def one(folder: Path) -> None:
    write_images(folder, "a.png")


def all_copies(folder: Path) -> None:
    for name in ("a.png", "b.png", "c.png", "d.png"):
        Image.fromarray(disc()).save(folder / name)


def nothing(folder: Path) -> None:
    (folder / "notes.txt").touch()


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (one, "has 1 readable image, 1 different; expected at least 3 to compare"),
        (all_copies, "has 4 readable images, 1 different; expected at least 3 to compare"),
        (nothing, "expected images, got none (1 other file or folder)"),
    ],
)
def test_too_few_images_are_refused_in_one_line(
    fill: Callable[[Path], None], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    fill(tmp_path / "in")
    words = ["find", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--from-scratch"]
    assert main(words) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"belong find: {tmp_path / 'in'}: {message}"


def test_where_no_image_can_be_read_the_first_reason_is_given(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(TooManyBadFilesError, match=r"0 of 1 images can be read; the first: a\.png"):
        belong.find(tmp_path / "in", tmp_path / "out", OPTIONS)


def test_results_of_another_run_and_the_images_themselves_are_safe(
    photos: Path, result: belong.FindResult
) -> None:
    with pytest.raises(InputError, match=r"has the strange\.csv of another run"):
        belong.find(photos, result.output, OPTIONS)
    with pytest.raises(InputError, match="expected an output outside of the folder of the images"):
        belong.find(photos, photos / "found", OPTIONS)


@pytest.mark.pipeline
def test_idx_images_need_no_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 40, (30, 8, 8)).astype(np.uint8)
    images[:, 2:6, 2:6] += 150
    images[17] = 255 - images[17]
    (tmp_path / "some-images-idx3-ubyte").write_bytes(idx_bytes(images))
    table = belong.find(tmp_path, tmp_path.parent / "of_idx", OPTIONS_OF_PIXELS).to_pandas()
    assert table["path"].iloc[0] == "some-images-idx3-ubyte/17"
    assert len(table) == 30


OPTIONS_OF_PIXELS = belong.FindOptions(settings={"detectors.code_iforest.trees": 50})


def test_the_distance_to_others_leaves_the_image_itself_out() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    expected = np.sort(cdist(vectors, vectors), axis=1)[:, 3]  # the first is the vector itself
    distances = distance_to_others(torch.from_numpy(vectors), k=3, jobs=1)
    assert np.allclose(distances.numpy(), expected, atol=1e-5)


def test_the_codes_of_vectors_are_their_principal_components() -> None:
    vectors = np.random.default_rng(0).normal(size=(80, 30)) * np.arange(1, 31)
    codes, _ = linear_codes(torch.from_numpy(vectors), units=10)
    components = PCA(10).fit_transform(vectors)
    assert np.allclose(codes.abs().numpy(), np.abs(components), atol=1e-3)


def test_one_image_far_from_all_others_is_not_redrawn_by_an_axis_of_its_own() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40)) + 0.01 * rng.normal(size=(60, 40))
    vectors[7] = 100 * rng.normal(size=40)
    _, errors = linear_codes(torch.from_numpy(vectors), units=10)
    assert int(errors.argmax()) == 7
    assert abs(PCA(3).fit_transform(vectors)[7, 0]) > 400  # its own axis, else


def test_a_surprise_is_minus_the_logarithm_of_a_share() -> None:
    assert surprise(np.array([3.0, 1.0, 2.0, 2.0])) == pytest.approx(
        -np.log([1 / 4, 1, 3 / 4, 3 / 4])
    )


def test_similar_foreign_images_do_not_hide_each_other_but_where_few_neighbors_are_asked_for() -> (
    None
):
    rng = np.random.default_rng(0)
    vectors = np.abs(rng.normal(size=(210, 64))).astype(np.float32)
    vectors[:, :32] *= 4
    vectors[200:] = np.abs(rng.normal(size=64)) * np.repeat((1, 4), 32) + rng.normal(
        scale=0.1, size=(10, 64)
    )
    values = parameters({"detectors.code_iforest.trees": 50})
    found_of = {}
    for k in (5, None):
        strangeness = measure(vectors, values, last=64, device=torch.device("cpu"), jobs=1, k=k)
        order = np.argsort(-strangeness.combined)
        found_of[k] = int((order[:10] >= 200).sum())
    assert found_of == {5: 0, None: 10}


@pytest.mark.parametrize(("images", "k"), [(4, 3), (20, 5), (60, 12), (300, 20)])
def test_a_fifth_of_the_images_between_5_and_20_are_neighbors(images: int, k: int) -> None:
    rng = np.random.default_rng(0)
    vectors = np.abs(rng.normal(size=(images, 30))).astype(np.float32)
    values = parameters({"detectors.code_iforest.trees": 5})
    default, explicit = (
        measure(vectors, values, last=30, device=torch.device("cpu"), jobs=1, k=one).methods["knn"]
        for one in (None, k)
    )
    np.testing.assert_array_equal(default, explicit)


def test_one_method_that_is_blind_does_not_spoil_the_order() -> None:
    rng = np.random.default_rng(0)
    vectors = np.abs(rng.normal(size=(200, 64))).astype(np.float32)
    vectors[:, :32] *= 4
    vectors[7] = np.abs(rng.normal(size=64)) * np.repeat((1, 4), 32)
    values = parameters({"detectors.code_iforest.trees": 50})
    strangeness = measure(vectors, values, last=64, device=torch.device("cpu"), jobs=1)
    assert strangeness.combined.argmax() == 7
    local = np.mean([surprise(strangeness.methods[name]) for name in LOCAL], axis=0)
    np.testing.assert_array_equal(strangeness.combined, local)
    pixels = rng.integers(0, 256, (30, 1, 28, 28), np.uint8)
    strangeness = measure(pixels, values, last=0, device=torch.device("cpu"), jobs=1)
    middle = np.median([surprise(score) for score in strangeness.methods.values()], axis=0)
    np.testing.assert_array_equal(strangeness.combined, middle)
