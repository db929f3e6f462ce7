"""Sort images by their verdicts: into `sorted/belongs/CLASS`, `rejected` and `unreadable`.

The list of what goes where, sorted.csv, is on the disk before the first file is placed, and the
file `.sorting` says that it is not carried out yet. So the same call goes on after an interruption,
and `unsort` brings all back, whenever the power failed.
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
from belong.runtime.arguments import as_path, check_choice, check_place
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
MOST_BYTES = 2**30  # of the list
LONGEST = 200  # bytes of a name in the tree: some space is left for what tells names apart
ODD = str.maketrans({sign: f"%{ord(sign):02X}" for sign in '/\\:*?"<>|'})


@dataclass(frozen=True)
class Placed:
    """Where a file goes.

    Attributes:
        source: its absolute path.
        target: its absolute path in the tree.
        how: "link", "copy" or "move".
        link: the text of a link that is moved, which would lead elsewhere from another folder.
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

    The tree has `belongs/CLASS`, `rejected` and `unreadable`; equal names from several folders get
    the names of their folders. Nothing is written over. OUTPUT/sorted.csv lists what went where:
    `unsort` brings it back. After an interruption the same call goes on.

    Args:
        images: the folder whose images were predicted.
        predictions: what `Model.predict` said of the folder.
        output: a folder outside of the images.
        how: "link", "copy" or "move".

    Returns:
        The number of images in `belongs`, `rejected` and `unreadable`.

    Raises:
        InputError: the predictions are of other images; a folder cannot be written; another
            sorting is not finished there.

    Example:
        >>> predictions = belong.load_model("model").predict("photos")
        >>> belong.sort_images("photos", predictions, "out", how="copy")
        {'belongs': 2, 'rejected': 0, 'unreadable': 1}
        >>> belong.unsort("out")
        3
    """
    check_choice("how", how, get_args(Placement))
    folder, out = as_path("images", images), as_path("output", output)
    check_place(out)
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
    """Return the folder in the tree of an image that was read, of the class `name`."""
    return f"{BELONGS}/{as_folder(name)}" if belongs else REJECTED


def as_folder(name: str) -> str:
    """Return the name of a class as that of one folder, which is not hidden and leads nowhere."""
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
        out: the folder with the tree and the list.
        how: they are placed.

    Raises:
        InputError: something is in the way; it says how far it came.
    """
    with one_writer(out / LIST, on_stderr):
        before = _listed(out)
        if (out / MARK).exists():  # one that wrote no list has placed nothing
            (out / MARK).unlink()
        if how != "move":  # a link or a copy follows the new verdicts; what was moved stays
            again = [row for row in before if row.how != "move"]
            before = [row for row in before if row.how == "move"] + _taken_back(again)
        rows = list(_planned(incoming, groups, out, how))
        if how == "move":
            _check_movable(rows)
        others = sum(row.how != how for row in rows)
        if others:
            images = counted(others, "image lies", "images lie")
            on_stderr(f"{printable(incoming.top)}: {images} outside of it: linked, not moved")
        _save(out, [*before, *rows], _key(incoming.top, how), len(before))
        _carry_out(rows, out)
        (out / MARK).unlink()
    return _counts(rows, out)


def finish_sorting(out: Path, source: Path | str, how: Placement) -> dict[str, int] | None:
    """Carry out the list of a sorting that was interrupted; return its counts, None if none was.

    Raises:
        InputError: it was of another folder, or of another kind.
    """
    if not (out / MARK).exists():
        return None
    with one_writer(out / LIST, on_stderr):
        mark = _mark(out)
        if mark is None:  # it was finished meanwhile, or has written no list
            return None
        if mark["key"] != _key(str(source), how):
            raise InputError(
                f"{printable(out)}: another sorting is not finished; the same command finishes it, "
                f"and `belong unsort` takes it back"
            )
        rows = _listed(out)[mark["first"] :]
        _carry_out(rows, out)
        (out / MARK).unlink()
    return _counts(rows, out)


def unsort(output: str | os.PathLike[str]) -> int:
    """Take a sorting back: bring back what was moved, remove the links and copies.

    Nothing is written over: a file whose old place is taken stays, as does a copy that was changed.

    Args:
        output: the folder with sorted.csv.

    Returns:
        The number of files that were taken back.

    Raises:
        InputError: there is no list, or some files cannot be taken back; the list keeps them.

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
        rows = _listed(out)
        with _saying_how_far(out, len(rows)) as done:
            stuck = _taken_back(rows, done)
        if stuck:
            _save_list(out, stuck)
            first, n = stuck[0], counted(len(stuck), "file")
            raise InputError(
                f"{printable(first.target)}: cannot be taken back: it was changed, or something is "
                f"at {printable(first.source)}; {n} like this, and {LIST} keeps them"
            )
        (out / LIST).unlink()
        (out / MARK).unlink(missing_ok=True)
        _remove_empty(out / TREE)
    return len(rows)


# --- the plan -----------------------------------------------------------------------------------


def _planned(
    incoming: Incoming, groups: Mapping[str, str], out: Path, how: Placement
) -> Iterator[Placed]:
    """Yield a place for each file that is there: in its group, by its name if no other has it."""
    top = Path(os.path.realpath(incoming.top))
    tree, seen = out.absolute() / TREE, set[str]()
    files = []
    for file in incoming.files:
        path = incoming.path(file)
        place = os.path.join(os.path.realpath(path.parent), path.name)  # noqa: PTH118
        if file in groups and os.path.lexists(path) and place not in seen:
            seen.add(place)
            files.append((file, Path(place)))
    names = Counter((groups[file], Path(file).name.casefold()) for file, _ in files)
    used: dict[str, set[str]] = {}
    for file, source in files:
        group, name = groups[file], Path(file).name
        if group not in used:
            used[group] = {one.casefold() for one in _names_in(tree / group)}
        folders = Path(file).parent.parts
        several = names[group, name.casefold()] > 1
        name = _unused(name, "-".join(folders).strip("/-") if several else "", used[group])
        used[group].add(name.casefold())
        # What a folder shows of others by a link is theirs: it is not moved.
        is_own = not incoming.top or top in source.parents
        kind: Placement = how if is_own or how != "move" else "link"
        is_link = kind == "move" and source.is_symlink()
        link = os.fspath(source.readlink()) if is_link else ""
        yield Placed(source, tree / group / name, kind, link)


def _names_in(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []  # noqa: PTH208


def _unused(name: str, folders: str, used: set[str]) -> str:
    """Return `NAME (FOLDERS).jpg`, or with a number, whichever is free."""
    tried = [f" ({folders})"] if folders else [""]
    for number in range(len(used) + 2):
        end = tried[0] if number == 0 else f"{tried[0]} ({number + 1})"
        free = _shortened(name, end)
        if free.casefold() not in used:
            return free
    raise AssertionError("of more numbers than names one is free")


def _shortened(name: str, end: str) -> str:
    """Return a name with `end` before its suffix, cut so that every file system takes it."""
    path = Path(name)
    stem, suffix = path.stem, path.suffix
    whole = os.fsencode(stem + end + suffix)
    if len(whole) <= LONGEST:
        return stem + end + suffix
    mark = "~" + sha256(os.fsencode(name + end)).hexdigest()[:8]
    kept = os.fsencode(stem + end)[: LONGEST - len(mark) - len(os.fsencode(suffix[:20]))]
    return kept.decode("utf-8", "ignore") + mark + suffix[:20]


def _check_movable(rows: Iterable[Placed]) -> None:
    for folder in sorted({row.source.parent for row in rows if row.how == "move"}):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InputError(
                f"{printable(folder)}: may not be written: its images cannot be moved; expected "
                f"--sort copy or link"
            )


# --- the list, and what it says -----------------------------------------------------------------


def _key(source: str, how: Placement) -> str:
    return json.dumps([os.path.realpath(source) if source else "", how])


def _save(out: Path, rows: list[Placed], key: str, first: int) -> None:
    """Write the mark, and then the list that it belongs to, of which `first` rows are older."""
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
    """Return what the mark says, if the list that it belongs to was written."""
    try:
        mark = json.loads(read_bytes(out / MARK))
        text = read_bytes(out / LIST, most=MOST_BYTES)
        is_whole = mark["list"] == sha256(text).hexdigest()
        return {"key": mark["key"], "first": int(mark["first"])} if is_whole else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _listed(out: Path) -> list[Placed]:
    """Return the rows of the list; none if there is no list.

    Raises:
        InputError: it is not the list of a sorting.
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
            raise InputError(f"{printable(path)}: row {number + 1}: is no row of a sorting's list")
    return rows


def _carry_out(rows: list[Placed], out: Path) -> None:
    """Place all files that are not placed yet."""
    gone = 0
    with bar(len(rows), "sort", "file") as progress, _saying_how_far(out, len(rows)) as done:
        for row in rows:
            is_there = os.path.lexists(row.source)
            if not os.path.lexists(row.target):
                gone += not is_there
                if is_there:
                    place_whole(row.source, row.target, row.how)
            elif row.how == "move" and is_there:
                _end_move(row)
            done.append(row)
            progress.update()
    if gone:
        on_stderr(f"{printable(out / LIST)}: {counted(gone, 'file is', 'files are')} gone")


def _end_move(row: Placed) -> None:
    """Remove what was copied to another file system, or linked, before a kill.

    Raises:
        InputError: what is in the tree is something else.
    """
    if row.link:
        is_same = os.path.realpath(row.target) == os.path.realpath(row.source)
    else:
        is_same = is_copy(row.source, row.target)
    if not is_same:
        raise InputError(f"{printable(row.target)}: exists already; nothing is written over it")
    row.source.unlink()


def _taken_back(rows: list[Placed], done: list[Placed] | None = None) -> list[Placed]:
    """Take files back; return the rows of the files that stay."""
    stuck = []
    for row in rows:
        if not _take_back(row):
            stuck.append(row)
        if done is not None:
            done.append(row)
    for folder in {row.target.parent for row in rows}:
        if folder.is_dir():
            sync(folder)
    return stuck


def _take_back(row: Placed) -> bool:
    """Return whether a file is where it was."""
    source, target = row.source, row.target
    is_there = os.path.lexists(source)
    if not os.path.lexists(target):
        return True  # it was never placed, or somebody has taken it away
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
    else:  # a copy, or what was moved to another file system and not removed yet
        is_ours = is_copy(source, target)
    if is_ours:
        target.unlink()
    return is_ours


def _remove_empty(folder: Path) -> None:
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # a person has put something into it
            Path(path).rmdir()


@contextmanager
def _saying_how_far(out: Path, n: int) -> Iterator[list[Placed]]:
    """Have an error say how many of n files are done, and what goes on."""
    done: list[Placed] = []
    how_far = f"files are done; the same command goes on, `belong unsort {printable(out)}` undoes"
    try:
        yield done
    except OSError as error:
        where = f"{printable(error.filename)}: " if error.filename else ""
        raise InputError(
            f"{where}{error.strerror or error}; {len(done)} of {n} {how_far}"
        ) from None
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; {len(done)} of {n} {how_far}") from None


def _counts(rows: list[Placed], out: Path) -> dict[str, int]:
    tree = out.absolute() / TREE
    counts = Counter(row.target.relative_to(tree).parts[0] for row in rows)
    return {group: counts[group] for group in GROUPS}


# --- lists of paths -----------------------------------------------------------------------------


def write_lists(
    incoming: Incoming, groups: Mapping[str, str], out: Path, *, ends_in_null: bool
) -> None:
    """Write belongs.txt, rejected.txt and unreadable.txt: a path in a line, as in the folder.

    Raises:
        InputError: a name holds a line break, and lines do not end in null bytes.
    """
    end = b"\0" if ends_in_null else b"\n"
    for group in GROUPS:
        files = [file for file in incoming.files if groups[file].split("/")[0] == group]
        paths = [os.fsencode(file) for file in files]
        odd = [path for path in paths if b"\n" in path or b"\r" in path]
        if odd and not ends_in_null:
            raise InputError(
                f"{printable(os.fsdecode(odd[0]))}: has a line break in its name; expected "
                f"--write-list null"
            )
        with whole_file(out / f"{group}.txt") as part:
            part.write_bytes(b"".join(path + end for path in paths))
