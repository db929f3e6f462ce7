"""Letters and further sets: generated images, files that are read, and errors."""

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from belong.data.dataset import hashes
from belong.data.further_sets import further_sets
from belong.data.letters import FACES, LETTERS, letters
from belong.data.resize import Form
from belong.parameters import ImagesSection
from belong.runtime.errors import InputError

GREY = Form(28, 28, "grey")
OPTIONS = ImagesSection(
    side_px=28, color="auto", background="white", max_bad_fraction=0.01, max_pixels=1_000_000
)


def sets(
    folder: Path, form: Form = GREY, *, count: int = 0, **changes: object
) -> dict[str, np.ndarray]:
    options = {"known": set[str](), "most": 100, "seed": 0} | changes
    return dict(further_sets(folder, form, letter_count=count, options=OPTIONS, **options))  # type: ignore[arg-type]


def write_idx(path: Path, images: np.ndarray) -> np.ndarray:
    """Write images (n, h, w) uint8, gzipped if the name says so; return them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape) + images.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return images


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 28, 28), np.uint8)


# --- letters ------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same_bytes_on_every_machine() -> None:
    images = letters(200, 28, np.random.default_rng(0))
    digest = hashlib.sha256(images.tobytes()).hexdigest()
    assert digest == "ee955f09bf846330bf6ee4c784709b970e0d977beb9c85e4a974aee677db2d8a"
    assert len(np.unique(hashes(images))) == len(images)


def test_no_letter_is_one_that_looks_like_a_digit() -> None:
    assert not set(LETTERS) & set("OoDQIiJjlZzYySsGbTBgq0123456789")
    assert len(FACES) == len(set(FACES)) == 12


@pytest.mark.parametrize("side", [28, 64])
def test_a_letter_is_white_on_black_in_the_middle_of_its_image(side: int) -> None:
    images = letters(100, side, np.random.default_rng(1)).astype(float)
    ink = images > 127
    assert (ink.any(axis=(1, 2))).all()
    assert 0.03 < ink.mean() < 0.3
    places = np.arange(side) + 0.5
    mass = images.sum(axis=(1, 2))
    for axis in (1, 2):
        center = (images.sum(axis=3 - axis) * places).sum(axis=1) / mass
        assert np.abs(center - side / 2).max() <= 0.75
    high, wide = (ink.any(axis=axis).sum(axis=1) for axis in (2, 1))
    assert np.maximum(high, wide).max() <= round(20 / 28 * side)


def test_letters_have_the_form_of_the_normal_images(tmp_path: Path) -> None:
    images = sets(tmp_path, Form(40, 32, "rgb"), count=3)["further/letters"]
    assert images.shape == (3, 3, 40, 32)
    assert (images[:, 0] == images[:, 2]).all()
    assert not images[:, :, :4].any()


# --- sets of the user ---------------------------------------------------------------------------


def test_the_test_part_of_idx_files_is_used_and_emnist_is_transposed(tmp_path: Path) -> None:
    write_idx(tmp_path / "kmnist" / "train-images-idx3-ubyte", noise(3))
    tests = write_idx(tmp_path / "kmnist" / "t10k-images-idx3-ubyte.gz", noise(2, seed=1))
    name = "emnist-letters-test-images-idx3-ubyte.gz"
    emnist = write_idx(tmp_path / "letters-by-hand" / name, noise(2, seed=2))
    further = sets(tmp_path)
    assert list(further) == ["further/kmnist", "further/letters-by-hand"]
    np.testing.assert_array_equal(further["further/kmnist"][:, 0], tests)
    np.testing.assert_array_equal(
        further["further/letters-by-hand"][:, 0], emnist.transpose(0, 2, 1)
    )


def test_photos_become_grey_and_as_large_as_the_digits(tmp_path: Path) -> None:
    for row, size in enumerate([(60, 40), (30, 90)]):
        (tmp_path / "photos" / "beach").mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", size, (200, 100 + row, 0))
        image.save(tmp_path / "photos" / "beach" / f"{row}.png")
    images = sets(tmp_path)["further/photos"]
    assert images.shape == (2, 1, 28, 28)
    assert images[:, 0, 0, 0].tolist() == [118, 119]  # 0.299 x 200 + 0.587 x 100, and 101


def test_images_that_have_a_part_and_repeats_are_left_out(tmp_path: Path) -> None:
    images = noise(4)
    write_idx(tmp_path / "a" / "t10k-images-idx3-ubyte", images[[0, 1, 1, 2, 3]])
    kept_images = sets(tmp_path, known=set(hashes(images[[0]])))["further/a"]
    np.testing.assert_array_equal(kept_images[:, 0], images[1:])


def test_another_set_changes_none(tmp_path: Path) -> None:
    write_idx(tmp_path / "b" / "t10k-images-idx3-ubyte", noise(50))
    before = sets(tmp_path, count=5, most=10)
    assert before["further/b"].shape == (10, 1, 28, 28)
    write_idx(tmp_path / "a" / "t10k-images-idx3-ubyte", noise(50, seed=1))
    after = sets(tmp_path, count=5, most=10)
    for name, images in before.items():
        np.testing.assert_array_equal(after[name], images)


@pytest.mark.parametrize("name", ["letters", "blurred", "anomaly", "unseen"])
def test_the_name_of_another_set_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=f"{name}: expected another name: there is a set"):
        sets(tmp_path)


def test_an_invalid_set_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"further\.path: .*: expected a folder"):
        sets(tmp_path / "nowhere")
    write_idx(tmp_path / "a" / "one-images-idx3-ubyte", noise(1))
    write_idx(tmp_path / "a" / "two-images-idx3-ubyte", noise(1))
    with pytest.raises(InputError, match=r"expected one IDX file of test images, got .*one.*two"):
        sets(tmp_path)


def test_a_set_of_which_all_images_have_a_part_is_refused(tmp_path: Path) -> None:
    images = write_idx(tmp_path / "a" / "t10k-images-idx3-ubyte", noise(3))
    with pytest.raises(InputError, match="a: all 3 images are in another part already"):
        sets(tmp_path, known=set(hashes(images)))


def test_an_empty_folder_or_a_file_beside_the_sets_is_no_set(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("sets")
    (tmp_path / ".hidden").mkdir()
    assert sets(tmp_path) == {}
