"""IDX files: valid files are read as torchvision reads them, faults are named."""

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from torchvision.datasets.mnist import read_sn3_pascalvincent_tensor

from belong.data.idx import read_idx
from belong.runtime.errors import InputError
from tests.idx_files import idx_bytes, some_images
from tests.imports import ROOT

DATA = ROOT / "tests" / "data"
IMAGES = some_images(4)  # 4 x 3 x 2 values
GOOD = idx_bytes(IMAGES)
MAGIC = bytes([0, 0, 8, 3])
PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)


def in_gzip(content: bytes) -> bytes:
    """Return `content` as gzip writes it, without the time: it stands in the tests' names."""
    return gzip.compress(content, mtime=0)


def read_bytes(folder: Path, content: bytes, *, axes: int = 3, name: str = "images") -> np.ndarray:
    (folder / name).write_bytes(content)
    return read_idx(folder / name, axes)


def test_a_file_by_hand_has_the_values_of_its_bytes(tmp_path: Path) -> None:
    content = b"\0\0\x08\x02" + b"\0\0\0\x02" + b"\0\0\0\x03" + b"abcdef"
    expected = [[97, 98, 99], [100, 101, 102]]
    assert read_bytes(tmp_path, content, axes=2).tolist() == expected


def test_sizes_are_read_with_their_most_significant_byte_first(tmp_path: Path) -> None:
    content = b"\0\0\x08\x01" + b"\0\0\x01\x02" + bytes(258)
    assert read_bytes(tmp_path, content, axes=1).shape == (258,)


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_plain_and_gzipped_files_give_what_was_written(tmp_path: Path, name: str) -> None:
    content = in_gzip(GOOD) if name.endswith(".gz") else GOOD
    values = read_bytes(tmp_path, content, name=name)
    assert values.dtype == np.uint8
    assert values.tolist() == IMAGES.tolist()


def test_a_gzip_file_of_two_members_is_read_to_its_end(tmp_path: Path) -> None:
    content = in_gzip(GOOD[:20]) + in_gzip(GOOD[20:])
    assert read_bytes(tmp_path, content, name="images.gz").tolist() == IMAGES.tolist()


@pytest.mark.parametrize("data_set", ["mnist-small", "fashion-mnist-small"])
@pytest.mark.parametrize(
    ("name", "axes"), [("train-images-idx3-ubyte", 3), ("t10k-labels-idx1-ubyte", 1)]
)
def test_real_files_are_read_as_torchvision_reads_them(
    tmp_path: Path, data_set: str, name: str, axes: int
) -> None:
    zipped = DATA / data_set / f"{name}.gz"
    (tmp_path / name).write_bytes(gzip.decompress(zipped.read_bytes()))
    theirs = read_sn3_pascalvincent_tensor(str(tmp_path / name))
    np.testing.assert_array_equal(read_idx(zipped, axes), theirs)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (PNG, r"expected an IDX file of bytes with 3 axes, .* got 89 50 4e 47 \(a PNG image\)"),
        (b"\xff\xd8\xff\xe0", r"\(a JPEG image\)"),
        (b"GIF89a", r"\(a GIF image\)"),
        (b"BM6\0", r"\(a BMP image\)"),
        (b"PK\3\4", r"\(a zip archive\)"),
        (in_gzip(GOOD), r"\(gzip; a name that ends in .gz is unzipped once"),
        (b"<html>", "starts with 00 00 08 03, got 3c 68 74 6d"),
        (b"\0\0\x0d\x03" + bytes(12), "got 00 00 0d 03"),  # float32
        (idx_bytes(np.zeros(5)), "with 3 axes, .* got 00 00 08 01"),
        (b"", "which starts with 00 00 08 03, got nothing"),
        (GOOD[:2], "got 00 00"),
        (GOOD[:4], "ends inside its header, after 4 bytes"),
        (GOOD[:15], "ends inside its header, after 15 bytes"),
        (GOOD[:16], "states 4 x 3 x 2 = 24 values but has 0"),
        (GOOD[:-1], "states 4 x 3 x 2 = 24 values but has 23"),
        (GOOD + b"x", "states 4 x 3 x 2 = 24 values but has more"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_what_is_wrong(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(InputError, match=rf"{tmp_path}/images: .*{message}"):
        read_bytes(tmp_path, content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "which starts with 00 00 08 03, got nothing"),
        (GOOD, "cannot be read: Not a gzipped file"),
        (in_gzip(GOOD)[:-9], "cannot be read: Compressed file ended"),
        (in_gzip(GOOD)[:15], "cannot be read: Compressed file ended"),
        (in_gzip(GOOD) + b"more", "cannot be read: Not a gzipped file"),
        (in_gzip(GOOD[:-1]), "states 4 x 3 x 2 = 24 values but has 23"),
        (in_gzip(GOOD + b"x"), "states 4 x 3 x 2 = 24 values but has more"),
        (in_gzip(in_gzip(GOOD)), r"got 1f 8b 08 00 \(gzip"),
    ],
)
def test_a_wrong_gzip_file_is_refused_with_its_name_and_what_is_wrong(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with pytest.raises(InputError, match=rf"{tmp_path}/images\.gz: .*{message}"):
        read_bytes(tmp_path, content, name="images.gz")


def test_a_gzip_file_with_one_byte_changed_is_refused(tmp_path: Path) -> None:
    content = bytearray(in_gzip(GOOD))
    content[-7] ^= 1  # in the checksum
    with pytest.raises(InputError, match="cannot be read: CRC check failed"):
        read_bytes(tmp_path, bytes(content), name="images.gz")


def test_a_gzip_file_with_a_block_of_no_known_kind_is_refused(tmp_path: Path) -> None:
    content = bytearray(in_gzip(GOOD))
    content[10] |= 0b110  # the first block's kind, after the header's ten bytes
    with pytest.raises(InputError, match=r"cannot be read: .* invalid block type"):
        read_bytes(tmp_path, bytes(content), name="images.gz")


def test_labels_are_not_taken_for_images_nor_images_for_labels(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="IDX file of bytes with 1 axis, which starts with 00 00 08 01"
    ):
        read_bytes(tmp_path, GOOD, axes=1)


@pytest.mark.parametrize("path", ["nothing", "file/below"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_bytes(GOOD)
    with pytest.raises(InputError, match=f"{tmp_path}/{path}: no such file"):
        read_idx(tmp_path / path, 3)


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: is no file"):
        read_idx(tmp_path, 3)


def allocated_by_a_header(folder: Path, *sizes: int) -> int:
    """Return the peak memory while a header with these sizes, but no values, is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"claims|states"):
            read_bytes(folder, MAGIC + struct.pack(">3I", *sizes))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_header_that_claims_two_to_the_40_values_is_refused_without_room_for_them(
    tmp_path: Path,
) -> None:
    assert allocated_by_a_header(tmp_path, 2**20, 2**10, 2**10) < 2**20


def test_a_header_that_claims_two_to_the_32_values_is_refused_without_room_for_them(
    tmp_path: Path,
) -> None:
    assert allocated_by_a_header(tmp_path, 2**12, 2**10, 2**10) < 2**20


def test_an_axis_of_zero_beside_two_huge_ones_is_an_input_error_or_empty(tmp_path: Path) -> None:
    sizes = (0, 2**32 - 1, 2**32 - 1)
    try:
        assert read_bytes(tmp_path, MAGIC + struct.pack(">3I", *sizes)).shape == sizes
    except InputError as error:
        assert "images" in str(error)  # noqa: PT017  (either outcome will do)


headers = st.lists(st.integers(0, 1000), max_size=4).map(
    lambda sizes: MAGIC + b"".join(struct.pack(">I", size) for size in sizes)
)
contents = st.binary(max_size=60) | st.builds(bytes.__add__, headers, st.binary(max_size=60))


@given(contents, st.sampled_from(["images", "images.gz"]), st.booleans(), st.sampled_from([1, 3]))
def test_any_bytes_are_read_as_the_format_says_or_are_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str, zipped: bool, axes: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    raw = in_gzip(content) if zipped else content
    try:
        values = read_bytes(folder, raw, axes=axes, name=name)
    except InputError as error:
        assert str(error).startswith(f"{folder / name}: ")  # noqa: PT017
    else:
        assert idx_bytes(values) == content
