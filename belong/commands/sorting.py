"""Sort images by their verdicts: into `sorted/belongs/CLASS`, `rejected` and `unreadable`.

The plan, sorted.csv, is written before the first file is placed. The marker file `.sorting` exists
until the plan is carried out. After an interruption at any time, even a power failure, the same
call resumes, and `unsort` restores all files.
"""

import csv
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from belong.data.file_discovery import Incoming, below
from belong.prediction.prediction_files import check_outside
from belong.runtime.argument_names import named
from belong.runtime.arguments import as_path, check_choice, check_place, refuse
from belong.runtime.errors import InputError
from belong.runtime.file_placement import Placement, is_copy, place_whole
from belong.runtime.process_lock import one_writer
from belong.runtime.progress import bar
from belong.runtime.storage import make_folder, read_bytes, save_rows, save_text, sync, whole_file
from belong.runtime.text import counted, exact, from_exact, in_table, on_stderr, printable

if TYPE_CHECKING:
    from belong.prediction.predictions import Predictions

TREE, LIST, MARK = "sorted", "sorted.csv", ".sorting"
BELONGS, REJECTED, UNREADABLE = "belongs", "rejected", "unreadable"
GROUPS = (BELONGS, REJECTED, UNREADABLE)
COLUMNS = ("source", "target", "how", "link")
MOST_BYTES = 2**30  # maximum size of sorted.csv
LONGEST = 200  # maximum bytes of a file name in the tree; file systems allow 255
ODD = str.maketrans({sign: f"%{ord(sign):02X}" for sign in '/\\:*?"<>|'})


@dataclass(frozen=True)
class Placed:
    """The placement of one file.

    Attributes:
        source: absolute path of the file.
        target: absolute path in the tree.
        how: "link", "copy" or "move".
        link: target text of a moved symbolic link, which may be relative; else empty.
    """

    source: Path
    target: Path
    how: Placement
    link: str = ""


def sort_images(
    images: str | os.PathLike[str],
    predictions: "Predictions",
    output: str | os.PathLike[str],
    *,
    how: Placement = "link",
) -> dict[str, int]:
    """Sort the images of a folder by their verdicts, into `OUTPUT/sorted`.

    The tree has the folders `belongs/CLASS`, `rejected` and `unreadable`. Equal file names from
    several folders are extended by the names of their folders. No file is overwritten.
    OUTPUT/sorted.csv lists the old and new place of each file; `unsort` restores the files. After
    an interruption the same call resumes.

    Args:
        images: the folder whose images were predicted.
        predictions: the result of `Model.predict` for the folder.
        output: a folder outside of the images.
        how: "link", "copy" or "move".

    Returns:
        The number of images in `belongs`, `rejected` and `unreadable`.

    Raises:
        InputError: the predictions are of other images, a folder is missing or cannot be written,
            or `output` is in the folder of the images or has another unfinished sorting.

    Example:
        >>> predictions = belong.load_model("model").predict("photos")
        >>> belong.sort_images("photos", predictions, "out", how="copy")
        {'belongs': 2, 'rejected': 0, 'unreadable': 1}
        >>> belong.unsort("out")
        3
    """
    check_choice("how", how, get_args(Placement))
    if not hasattr(predictions, "is_readable"):
        refuse("predictions", "the result of Model.predict", predictions)
    folder, out = as_path("images", images), as_path("output", output)
    check_place(out)
    check_outside(out, str(folder))
    if (counts := finish_sorting(out, folder, how)) is not None:
        return counts
    incoming = below(folder)
    groups = dict(zip(predictions.path.tolist(), _groups_of(predictions), strict=True))
    names = {file: in_table(file) for file in incoming.files}
    if len(set(names.values())) < len(names) or not names.keys() or names.values() - groups.keys():
        raise InputError(
            f"{printable(folder)}: expected the predictions of its {len(names)} images, got "
            f"others; model.predict({str(folder)!r}) makes them"
        )
    return sort_files(incoming, {file: groups[name] for file, name in names.items()}, out, how=how)


def _groups_of(predictions: "Predictions") -> Iterator[str]:
    for one in predictions:
        yield group_of(one.label, belongs=one.belongs) if one.is_readable else UNREADABLE


def group_of(name: str, *, belongs: bool) -> str:
    """Return the folder in the tree for a readable image of the class `name`."""
    return f"{BELONGS}/{as_folder(name)}" if belongs else REJECTED


def as_folder(name: str) -> str:
    """Return a class name as the name of a single folder that is neither hidden nor a path."""
    text = exact(name).translate(ODD)
    text = f"%2E{text[1:]}" if text.startswith(".") else text or "%"
    return _shortened(text, "")


def sort_files(
    incoming: Incoming, groups: Mapping[str, str], out: Path, *, how: Placement
) -> dict[str, int]:
    """Sort files into `out`/sorted; return the number of files in each of GROUPS.

    Args:
        incoming: the files.
        groups: file -> the folder in the tree, see `group_of`.
        out: the folder for the tree and the list.
        how: the kind of placement.

    Raises:
        InputError: a file cannot be placed; the message has the number of placed files.
    """
    with one_writer(out / LIST, on_stderr):
        old_rows = _load_list(out)
        if (out / MARK).exists():  # its sorting wrote no list, and has placed no file
            (out / MARK).unlink()
        if how != "move":  # replace links and copies by the new verdicts; moved files stay
            replaced_rows = [row for row in old_rows if row.how != "move"]
            old_rows = [row for row in old_rows if row.how == "move"] + _take_all_back(
                replaced_rows
            )
        rows = list(_placements(incoming, groups, out, how))
        if how == "move":
            _check_movable(rows)
        link_count = sum(row.how != how for row in rows)
        if link_count:
            images = counted(link_count, "image lies", "images lie")
            on_stderr(f"{printable(incoming.top)}: {images} outside of it: linked, not moved")
        _save(out, [*old_rows, *rows], _key(incoming.top, how), len(old_rows))
        _carry_out(rows, out)
        (out / MARK).unlink()
    return _counts(rows, out)


def finish_sorting(out: Path, source: Path | str, how: Placement) -> dict[str, int] | None:
    """Finish an interrupted sorting; return its counts, or None if there is none.

    Raises:
        InputError: the interrupted sorting has another source folder, or another placement.
    """
    if not (out / MARK).exists():
        return None
    with one_writer(out / LIST, on_stderr):
        mark = _mark(out)
        if mark is None:  # another process has finished it, or it has written no list
            return None
        if mark["key"] != _key(str(source), how):
            raise InputError(
                f"{printable(out)}: another sorting is unfinished; run its command again to finish "
                f"it, or `belong unsort` to undo it"
            )
        rows = _load_list(out)[mark["first"] :]
        _carry_out(rows, out)
        (out / MARK).unlink()
    return _counts(rows, out)


def unsort(output: str | os.PathLike[str]) -> int:
    """Undo a sorting: move the moved files back, and remove the links and copies.

    No file is overwritten: a file stays in the tree if its old path has other content, as does a
    changed copy. If the old path has the same bytes, only that file remains.

    Args:
        output: the folder with sorted.csv.

    Returns:
        The number of restored files.

    Raises:
        InputError: there is no list, or some files cannot be restored; the list keeps these.

    Example:
        >>> belong.unsort("photos")
        Traceback (most recent call last):
        ...
        belong.runtime.errors.InputError: photos: has no sorted.csv; `belong score --sort` writes it
    """
    out = as_path("output", output)
    if not (out / LIST).is_file():
        raise InputError(f"{printable(out)}: has no {LIST}; `belong score --sort` writes it")
    with one_writer(out / LIST, on_stderr):
        rows = _load_list(out)
        with _reporting_progress(out, len(rows)) as undone:
            failed = _take_all_back(rows, undone)
        if failed:
            _save_list(out, failed)
            first, n = failed[0], counted(len(failed), "file")
            raise InputError(
                f"{printable(first.target)}: cannot be moved back: it was changed, or its old "
                f"path {printable(first.source)} is taken; {LIST} still lists {n} like this"
            )
        (out / LIST).unlink()
        (out / MARK).unlink(missing_ok=True)
        _remove_empty(out / TREE)
    return len(rows)


# --- the plan -----------------------------------------------------------------------------------


def _placements(
    incoming: Incoming, groups: Mapping[str, str], out: Path, how: Placement
) -> Iterator[Placed]:
    """Yield the placement of each existing file: the folder of its group, and an unused name."""
    top = Path(os.path.realpath(incoming.top))
    tree, sources = out.absolute() / TREE, set[str]()
    files = []
    for file in incoming.files:
        path = incoming.path(file)
        place = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118
        if file in groups and os.path.lexists(path) and place not in sources:
            sources.add(place)
            files.append((file, Path(place)))
    names = Counter((groups[file], Path(file).name.casefold()) for file, _ in files)
    used_names: dict[str, set[str]] = {}
    for file, source in files:
        group, name = groups[file], Path(file).name
        if group not in used_names:
            used_names[group] = {one.casefold() for one in _names_in(tree / group)}
        folders = Path(file).parent.parts
        several = names[group, name.casefold()] > 1
        name = _unused(name, "-".join(folders).strip("/-") if several else "", used_names[group])
        used_names[group].add(name.casefold())
        # A file outside of the folder, which a link leads to, is not moved.
        is_inside = not incoming.top or top in source.parents
        kind: Placement = how if is_inside or how != "move" else "link"
        is_link = kind == "move" and source.is_symlink()
        link = os.fspath(source.readlink()) if is_link else ""
        yield Placed(source, tree / group / name, kind, link)


def _names_in(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208


def _unused(name: str, folders: str, used_names: set[str]) -> str:
    """Return the first unused name: `NAME (FOLDERS).jpg`, then `NAME (FOLDERS) (NUMBER).jpg`."""
    extension = [f" ({folders})"] if folders else [""]
    for number in range(len(used_names) + 2):
        end = extension[0] if number == 0 else f"{extension[0]} ({number + 1})"
        free = _shortened(name, end)
        if free.casefold() not in used_names:
            return free
    raise AssertionError("there are more numbers than used names")


def _shortened(name: str, end: str) -> str:
    """Return a name with `end` before its suffix, shortened to `LONGEST` bytes."""
    path = Path(name)
    stem, suffix = path.stem, path.suffix
    whole = os.fsencode(stem + end + suffix)
    if len(whole) <= LONGEST:
        return stem + end + suffix
    mark = "~" + sha256(os.fsencode(name + end)).hexdigest()[:8]
    beginning = os.fsencode(stem + end)[: LONGEST - len(mark) - len(os.fsencode(suffix[:20]))]
    return beginning.decode("utf-8", "ignore") + mark + suffix[:20]


def _check_movable(rows: Iterable[Placed]) -> None:
    for folder in sorted({row.source.parent for row in rows if row.how == "move"}):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(
                f"{printable(folder)}: may not be written: its images cannot be moved; expected "
                f"{named('how', 'copy')} or {named('how', 'link')}"
            )


# --- the list of placements ---------------------------------------------------------------------


def _key(source: str, how: Placement) -> str:
    return json.dumps([os.path.realpath(source) if source else "", how])


def _save(out: Path, rows: list[Placed], key: str, first: int) -> None:
    """Write the marker file, then the list; its first `first` rows are of earlier runs."""
    make_folder(out)
    text = _text_of(out, rows)
    mark = {"key": key, "list": sha256(text.encode()).hexdigest(), "first": first}
    save_text(out / MARK, json.dumps(mark))
    save_text(out / LIST, text)


def _save_list(out: Path, rows: list[Placed]) -> None:
    save_text(out / LIST, _text_of(out, rows))


def _text_of(out: Path, rows: list[Placed]) -> str:
    tree = out.absolute() / TREE
    cells = [
        (exact(row.source), exact(row.target.relative_to(tree)), row.how, exact(row.link))
        for row in rows
    ]
    file = io.StringIO()
    save_rows(file, [COLUMNS, *cells])
    return file.getvalue()


def _mark(out: Path) -> dict[str, Any] | None:
    """Return the content of the marker file; None unless the list matches its checksum."""
    try:
        mark = json.loads(read_bytes(out / MARK))
        text = read_bytes(out / LIST, most=MOST_BYTES)
        is_whole = mark["list"] == sha256(text).hexdigest()
        return {"key": mark["key"], "first": int(mark["first"])} if is_whole else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _load_list(out: Path) -> list[Placed]:
    """Return the rows of the list; none if there is no list.

    Raises:
        InputError: the file is not a list of sorted images.
    """
    path = out / LIST
    if not path.exists():
        return []
    tree, rows = out.absolute() / TREE, []
    lines = csv.reader(read_bytes(path, most=MOST_BYTES).decode("utf-8", "replace").splitlines())
    for number, cells in enumerate(lines):
        is_good = len(cells) == len(COLUMNS) and (number > 0 or tuple(cells) == COLUMNS)
        if number and is_good:
            source, target, how, link = cells
            inside = Path(from_exact(target))
            is_good = how in get_args(Placement) and inside.parts[:1] != ("/",)
            is_good = is_good and ".." not in inside.parts and inside.parts[0] in GROUPS
            kind: Placement = how  # type: ignore[assignment]
            rows.append(Placed(Path(from_exact(source)), tree / inside, kind, from_exact(link)))
        if not is_good:
            raise InputError(
                f"{printable(path)}: row {number + 1}: not a row of a list of sorted images"
            )
    return rows


def _carry_out(rows: list[Placed], out: Path) -> None:
    """Place all files that are not placed yet."""
    missing = 0
    with bar(len(rows), "sort", "file") as progress, _reporting_progress(out, len(rows)) as placed:
        for row in rows:
            is_there = os.path.lexists(row.source)
            if not os.path.lexists(row.target):
                missing += not is_there
                if is_there:
                    place_whole(row.source, row.target, row.how)
            elif row.how == "move" and is_there:
                _end_move(row)
            placed.append(row)
            progress.update()
    if missing:
        on_stderr(f"{printable(out / LIST)}: {counted(missing, 'file is', 'files are')} gone")


def _end_move(row: Placed) -> None:
    """Remove the source of a move that was interrupted after the copy, or after the new link.

    Raises:
        InputError: the target is another file.
    """
    if row.link:
        is_same = os.path.realpath(row.target) == os.path.realpath(row.source)
    else:
        is_same = is_copy(row.source, row.target)
    if not is_same:
        raise InputError(f"{printable(row.target)}: exists already; nothing is written over it")
    row.source.unlink()


def _take_all_back(rows: list[Placed], processed: list[Placed] | None = None) -> list[Placed]:
    """Restore files, and add their rows to `processed`; return the rows of the files that stay."""
    failed = []
    for row in rows:
        if not _take_back(row):
            failed.append(row)
        if processed is not None:
            processed.append(row)
    for folder in {row.target.parent for row in rows}:
        if folder.is_dir():
            sync(folder)
    return failed


def _take_back(row: Placed) -> bool:
    """Restore one file; return False if it has to stay in the tree."""
    source, target = row.source, row.target
    is_there = os.path.lexists(source)
    if not os.path.lexists(target):
        return True  # it was never placed, or a person has removed it
    if row.how == "move" and not is_there:
        if row.link:
            make_folder(source.parent)
            source.symlink_to(row.link)
            target.unlink()
        else:
            place_whole(target, source, "move")
        return True
    if row.how == "link":
        is_ours = target.is_symlink() and target.readlink() == source
    elif row.link:
        is_ours = source.is_symlink() and os.fspath(source.readlink()) == row.link
    else:  # a copy, or a move to another file system whose source is not removed yet
        is_ours = is_copy(source, target)
    if is_ours:
        target.unlink()
    return is_ours


def _remove_empty(folder: Path) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # it has other files
            Path(path).rmdir()


@contextmanager
def _reporting_progress(out: Path, n: int) -> Iterator[list[Placed]]:
    """Add to errors how many of n files are processed, and how to resume or undo."""
    processed: list[Placed] = []
    undo = f"`belong unsort {printable(out)}` to undo"
    how_far = f"files are done; run the same command to resume, or {undo}"
    try:
        yield processed
    except OSError as error:
        where = f"{printable(error.filename)}: " if error.filename else ""
        raise InputError(
            f"{where}{error.strerror or error}; {len(processed)} of {n} {how_far}"
        ) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {len(processed)} of {n} {how_far}") from None


def _counts(rows: list[Placed], out: Path) -> dict[str, int]:
    tree = out.absolute() / TREE
    counts = Counter(row.target.relative_to(tree).parts[0] for row in rows)
    return {group: counts[group] for group in GROUPS}


# --- lists of paths -----------------------------------------------------------------------------


def write_lists(
    incoming: Incoming, groups: Mapping[str, str], out: Path, *, ends_in_null: bool
) -> None:
    """Write belongs.txt, rejected.txt and unreadable.txt: one path per line, as in the folder.

    Raises:
        InputError: a name contains a line break, and lines do not end in null bytes.
    """
    end = b"\0" if ends_in_null else b"\n"
    for group in GROUPS:
        files = [file for file in incoming.files if groups[file].split("/")[0] == group]
        paths = [os.fsencode(file) for file in files]
        broken = [path for path in paths if b"\n" in path or b"\r" in path]
        if broken and not ends_in_null:
            raise InputError(
                f"{printable(os.fsdecode(broken[0]))}: has a line break in its name; expected "
                f"{named('write_list', 'null')}"
            )
        with whole_file(out / f"{group}.txt") as part:
            part.write_bytes(b"".join(path + end for path in paths))
