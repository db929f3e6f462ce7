"""Class folders of images: which files are found, in which classes, and what is refused."""

import os
import re
from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from belong.data.image_folder import ImageFiles, list_images
from belong.runtime.errors import InputError
from tests.photo_folders import write_images


def rows_of(listing: ImageFiles) -> list[tuple[str, str, bool]]:
    """Return file, class, is_test of each."""
    rows = zip(listing.files, listing.labels.tolist(), listing.is_test.tolist(), strict=True)
    return [(str(file), listing.class_names[label], is_test) for file, label, is_test in rows]


def touch_files(folder: Path, *names: str) -> Path:
    """Make empty files: listing images does not open them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_each_folder_is_a_class_and_both_are_sorted_by_name(tmp_path: Path) -> None:
    touch_files(tmp_path, "dog/2.jpg", "dog/10.jpg", "cat/x.png", "Ant/a.jpg")
    assert rows_of(list_images(tmp_path)) == [
        ("Ant/a.jpg", "Ant", False),
        ("cat/x.png", "cat", False),
        ("dog/10.jpg", "dog", False),
        ("dog/2.jpg", "dog", False),
    ]


def test_classes_labels_and_their_order_are_those_of_torchvision(tmp_path: Path) -> None:
    names = ["9/a.png", "10/b.png", "10/a.png", "Z/q.png", "a b/1.png", "a b/sub/0.png", "é/1.png"]
    write_images(tmp_path, *names)
    theirs, ours = ImageFolder(str(tmp_path)), list_images(tmp_path)
    assert list(ours.class_names) == theirs.classes
    pairs = zip(ours.files, ours.labels.tolist(), strict=True)
    assert {(str(tmp_path / file), label) for file, label in pairs} == set(theirs.imgs)
    assert ours.labels.tolist() == theirs.targets


def test_folders_train_and_test_are_the_official_parts(tmp_path: Path) -> None:
    touch_files(tmp_path, "test/b/1.jpg", "train/b/2.jpg", "train/a/3.jpg", "test/a/4.jpg")
    assert rows_of(list_images(tmp_path)) == [
        ("train/a/3.jpg", "a", False),
        ("train/b/2.jpg", "b", False),
        ("test/a/4.jpg", "a", True),
        ("test/b/1.jpg", "b", True),
    ]


def test_train_and_test_may_be_written_with_capitals(tmp_path: Path) -> None:
    touch_files(tmp_path, "Test/b/1.jpg", "Train/b/2.jpg")
    assert rows_of(list_images(tmp_path)) == [
        ("Train/b/2.jpg", "b", False),
        ("Test/b/1.jpg", "b", True),
    ]


def test_a_class_may_be_called_train_beside_other_classes(tmp_path: Path) -> None:
    touch_files(tmp_path, "bus/1.jpg", "train/2.jpg")
    assert list_images(tmp_path).class_names == ("bus", "train")


def test_images_without_class_folders_are_one_class_named_after_the_folder(tmp_path: Path) -> None:
    touch_files(tmp_path / "odd ones", "b.jpg", "a.jpg")
    listing = list_images(tmp_path / "odd ones")
    assert rows_of(listing) == [("a.jpg", "odd ones", False), ("b.jpg", "odd ones", False)]


def test_the_folder_here_gives_its_name_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(touch_files(tmp_path / "others", "1.jpg"))
    assert list_images(Path()).class_names == ("others",)


def test_images_in_sub_folders_belong_to_the_class_above(tmp_path: Path) -> None:
    touch_files(tmp_path, "cat/2020/may/1.jpg", "cat/2.jpg", "dog/3.jpg")
    assert [(file, name) for file, name, _ in rows_of(list_images(tmp_path))] == [
        ("cat/2.jpg", "cat"),
        ("cat/2020/may/1.jpg", "cat"),
        ("dog/3.jpg", "dog"),
    ]


def test_hidden_and_foreign_files_are_listed_and_never_classes(tmp_path: Path) -> None:
    touch_files(
        tmp_path, ".git/HEAD", "__MACOSX/cat/._1.jpg", ".DS_Store", "README.txt", "labels.csv",
        "cat/1.jpg", "cat/Thumbs.db", "cat/._1.jpg", "cat/@eaDir/1.jpg", "dog/2.jpg",
    )  # fmt: skip
    listing = list_images(tmp_path)
    assert [str(file) for file in listing.files] == ["cat/1.jpg", "dog/2.jpg"]
    assert {(str(path), reason) for path, reason in listing.ignored} == {
        (".git", "a hidden folder"),
        ("__MACOSX", "a hidden folder"),
        (".DS_Store", "a hidden file"),
        ("README.txt", "not an image, by its name and content"),
        ("labels.csv", "not an image, by its name and content"),
        ("cat/Thumbs.db", "not an image, by its name and content"),
        ("cat/._1.jpg", "a hidden file"),
        ("cat/@eaDir", "a hidden folder"),
    }


@pytest.mark.parametrize("target", ["cat", ".", "cat/sub"])
def test_links_that_run_in_circles_end(tmp_path: Path, target: str) -> None:
    touch_files(tmp_path, "cat/1.jpg", "cat/sub/2.jpg", "dog/3.jpg")
    (tmp_path / "cat" / "sub" / "again").symlink_to(tmp_path / target)
    listing = list_images(tmp_path)
    assert [str(file) for file in listing.files] == ["cat/1.jpg", "cat/sub/2.jpg", "dog/3.jpg"]
    reason = "a link to a folder that is read already"
    assert listing.ignored == [(Path("cat/sub/again"), reason)]


def test_a_class_folder_may_be_a_link_to_elsewhere_but_not_to_the_data_set(tmp_path: Path) -> None:
    touch_files(tmp_path / "elsewhere", "1.jpg")
    touch_files(tmp_path / "ours", "dog/2.jpg")
    (tmp_path / "ours" / "cat").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "ours" / "self").symlink_to(tmp_path / "ours")
    listing = list_images(tmp_path / "ours")
    assert rows_of(listing) == [("cat/1.jpg", "cat", False), ("dog/2.jpg", "dog", False)]
    assert listing.ignored == [(Path("self"), "a link to a folder above it")]


@pytest.mark.parametrize("target", ["..", "/"])
def test_a_link_to_a_folder_above_is_no_class(target: str, tmp_path: Path) -> None:
    touch_files(tmp_path / "ours", "dog/1.jpg", "cat/2.jpg")
    (tmp_path / "ours" / "all").symlink_to(target)
    listing = list_images(tmp_path / "ours")
    assert listing.class_names == ("cat", "dog")
    assert listing.ignored == [(Path("all"), "a link to a folder above it")]


def test_a_link_from_a_class_to_a_folder_outside_is_not_followed_but_one_to_an_image_is(
    tmp_path: Path,
) -> None:
    """A followed link could bring in all pictures of the disk; `clean --link` makes the others."""
    touch_files(tmp_path / "elsewhere", "deep/1.jpg")
    touch_files(tmp_path / "ours", "dog/2.jpg", "cat/3.jpg")
    (tmp_path / "ours" / "cat" / "more").symlink_to("/")
    (tmp_path / "ours" / "cat" / "all").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "ours" / "cat" / "4.jpg").symlink_to(tmp_path / "elsewhere" / "deep" / "1.jpg")
    (tmp_path / "ours" / "cat" / "dogs").symlink_to(tmp_path / "ours" / "dog")
    listing = list_images(tmp_path / "ours")
    files = ["cat/3.jpg", "cat/4.jpg", "cat/dogs/2.jpg", "dog/2.jpg"]
    assert [str(file) for file in listing.files] == files
    assert [str(path) for path, reason in listing.ignored if "outside" in reason] == [
        "cat/all", "cat/more"
    ]  # fmt: skip


def test_a_name_that_is_not_utf8_is_found_and_its_class_is_printable(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        touch_files(folder, "1.jpg")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    touch_files(tmp_path, "bar/2.jpg")
    listing = list_images(tmp_path)
    assert listing.class_names == ("bar", r"caf\xe9")
    assert (tmp_path / listing.files[1]).exists()


REFUSED: dict[str, tuple[list[str], str]] = {
    "empty": ([], "F: expected one folder of images per class, the images of a single class, or"),
    "only foreign files": (["a.txt", ".x/1.jpg"], "F: expected one folder of images per class, t"),
    "empty classes": (["cat/a.txt", "dog/"], "F: expected one folder of images per class, the"),
    "an empty class": (["cat/1.jpg", "dog/"], "F: class dog: expected images in its folder"),
    "beside": (["cat/1.jpg", "2.jpg", "3.jpg"],
               "F: expected all images in class folders, got images beside them: 2.jpg"),
    "beside the parts": (["train/a/1.jpg", "test/a/2.jpg", "3.jpg"],
                         "F: expected all images in train and test, got images beside them: 3.jpg"),
    "case": (["Cat/1.jpg", "cat/2.jpg"], "F: expected class names that differ in more than case"),
    "case, in parts": (["train/Cat/1.jpg", "train/cat/2.jpg", "test/cat/3.jpg"],
                       "F: expected class names that differ in more than case"),
    "accents": (["caf\u00e9/1.jpg", "cafe\u0301/2.jpg"],
                "F: expected class names that differ in more than case and the encoding of"),
    "case of parts": (["train/a/1.jpg", "Train/a/1.jpg", "test/a/2.jpg"],
                      "F: expected class names that differ in more than case"),
    "only in test": (["train/a/1.jpg", "test/a/2.jpg", "test/b/3.jpg", "test/b/4.jpg"],
                     "F: class b: expected training images, got 2 in test only"),
    "three parts": (["train/a/1.jpg", "test/a/2.jpg", "val/a/3.jpg"],
                    "F: expected only the folders train and test, or one folder per class"),
    "other parts": (["train/a/1.jpg", "val/a/3.jpg"],
                    "F: expected only the folders train and test, or one folder per class"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_is_no_data_set_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    names, message = REFUSED[case]
    for name in names:
        if name.endswith("/"):
            (tmp_path / name).mkdir(parents=True)
        else:
            touch_files(tmp_path, name)
    if len([*tmp_path.iterdir()]) < len({name.split("/")[0] for name in names}):
        pytest.skip("this file system takes the two names for one")
    pattern = re.escape(message.replace("F", str(tmp_path), 1))
    with pytest.raises(InputError, match=f"^{pattern}[^\n]*$"):
        list_images(tmp_path)


def test_all_that_is_wrong_is_said_at_once_a_line_for_each(tmp_path: Path) -> None:
    touch_files(tmp_path, "train/a/1.jpg", "train/b/x.txt", "train/2.jpg", "test/c/3.jpg", "4.jpg")
    with pytest.raises(InputError) as error:
        list_images(tmp_path)
    assert str(error.value).splitlines() == [
        f"{tmp_path}: expected all images in train and test, got images beside them: 4.jpg",
        f"{tmp_path}/train: expected all images in class folders, got images beside them: 2.jpg",
        f"{tmp_path}: class c: expected training images, got 1 in test only",
        f"{tmp_path}: class b: expected images in its folder, got none",
    ]
