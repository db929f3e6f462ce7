"""Read review.csv, a person's answers about images, saved by the gallery or written by hand.

    path,belongs,class,model,folder
    monday/1.jpg,True,kitchen,5c0f…,photos/new
    monday/2.jpg,False,,5c0f…,photos/new

`path` is relative to `folder`, and escaped by `belong.runtime.text.exact`. `model` is the SHA-256
of the manifest of the model whose verdicts the person saw. `folder` is optional with
`belong learn --images`.
"""

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from belong.calibration.sample_size import LEAST_NEW
from belong.runtime.argument_names import named
from belong.runtime.errors import InputError
from belong.runtime.storage import load_csv, read_bytes
from belong.runtime.text import counted, folded, from_exact, printable

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("path", "belongs", "class", "model")
NOT_MINE = ""
MOST_BYTES = 2**28


@dataclass(frozen=True)
class Review:
    """The answers of a review file.

    Attributes:
        folder: of the images; empty if the paths have no common folder.
        answers: path -> the name of a class, or "" for an image that does not belong.
        new_classes: sorted names of the classes that the model lacks.
    """

    folder: str
    answers: dict[str, str]
    new_classes: list[str]

    def path(self, file: str) -> Path:
        """Return the path of an image."""
        return Path(self.folder, file)


def read_review(
    path: Path, *, digest: str, class_names: Sequence[str], folder: Path | None
) -> Review:
    """Read the answers of a review file.

    Args:
        path: of the review file.
        digest: SHA-256 of the model's manifest.
        class_names: of the model.
        folder: of the images; None: the folder in the review file.

    Raises:
        InputError: the file is missing, empty or no table; its answers are about another model; an
            answer is invalid, or an image has two answers; an image is missing; a new class has too
            few images, or nearly the name of another class.
    """
    name = printable(path)
    if not path.is_file():
        raise InputError(f"{name}: no such file; the gallery of `belong score` saves review.csv")
    try:
        text = read_bytes(path, most=MOST_BYTES).decode("utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{name}: expected a CSV file in UTF-8, got other bytes") from None
    if not text.strip("\ufeff\r\n\t "):
        raise InputError(f"{name}: is empty; expected an answer for at least one image")
    try:
        table = load_csv(path, as_text=True)
    except InputError as error:
        raise InputError(" ".join(str(error).split())) from None
    missing = [column for column in COLUMNS if column not in table]
    if missing:
        raise InputError(
            f"{name}: expected the columns {', '.join(COLUMNS)}, got no {' and no '.join(missing)}"
        )
    if table.empty:
        raise InputError(f"{name}: has no row; expected an answer for at least one image")
    other_models = sorted(set(table["model"]) - {digest})
    if other_models:
        raise InputError(
            f"{name}: its answers are about the verdicts of another model "
            f"({other_models[0][:12]}); expected those of {digest[:12]}: score the images with "
            f"this model and review them"
        )
    top = _folder(name, table.get("folder"), folder)
    answers: dict[str, str] = {}
    columns = (table[column] for column in ("path", "belongs", "class"))
    for row, (text, belongs, label) in enumerate(zip(*columns, strict=True), start=1):
        answer = _answer(f"{name}: row {row}", belongs, label)
        file = _file(f"{name}: row {row}", text, top)
        if answers.setdefault(file, answer) != answer:
            raise InputError(
                f"{name}: row {row}: {printable(file)}: has two answers, "
                f"{_in_words(answers[file])} and {_in_words(answer)}; expected one"
            )
    return Review(top, answers, _new_classes(name, answers, class_names))


def _folder(name: str, column: "pd.Series[str] | None", folder: Path | None) -> str:
    if folder is not None:
        if not folder.is_dir():
            raise InputError(f"{printable(folder)}: no such folder")
        return str(folder)
    folders = sorted(set(column)) if column is not None else []
    if len(folders) != 1:
        folder_count = "none" if not folders else f"{len(folders)}"
        raise InputError(
            f"{name}: expected one folder in the column folder, or {named('images')}, got "
            f"{folder_count}"
        )
    top = from_exact(folders[0])
    if top and not Path(top).is_dir():
        raise InputError(
            f"{name}: its images were in {printable(top)}, which is not a folder here; expected "
            f"{named('images')}"
        )
    return top


def _answer(where: str, belongs: str, label: str) -> str:
    if belongs not in ("True", "False"):
        raise InputError(f"{where}: belongs: expected True or False, got {belongs!r}")
    if belongs == "True" and not label.strip():
        raise InputError(f"{where}: class: expected the name of a class, got none")
    if label != printable(label):
        raise InputError(
            f"{where}: class: expected text without control characters, got '{printable(label)}'"
        )
    if belongs == "False" and label:
        raise InputError(f"{where}: class: expected none, as belongs is False, got {label!r}")
    return label if belongs == "True" else NOT_MINE


def _file(where: str, text: str, top: str) -> str:
    """Return the path of an existing image, written with or without escapes."""
    for file in (from_exact(text), text):
        normal = os.path.normpath(file) if file and "\0" not in file else ""
        if normal and Path(top, normal).is_file():
            return normal
    place = f" in {printable(top)}" if top else ""
    raise InputError(f"{where}: {printable(text) or 'no path'}: no such image{place}")


def _new_classes(name: str, answers: dict[str, str], class_names: Sequence[str]) -> list[str]:
    counts = Counter(answers.values())
    new = sorted(counts.keys() - {NOT_MINE, *class_names})
    known = {folded(label): label for label in class_names}
    for label in new:
        similar = known.setdefault(folded(label.strip()), label)
        if similar != label:
            raise InputError(
                f"{name}: class {label!r} is new; expected a name that differs from {similar!r} in "
                "more than case, spaces around it and the encoding of accents"
            )
        if counts[label] < LEAST_NEW:
            similar = ", ".join(difflib.get_close_matches(label, class_names, cutoff=0.0))
            raise InputError(
                f"{name}: class {label!r} is new and has {counted(counts[label], 'image')}; "
                f"expected at least {LEAST_NEW}, or a class of the model, such as {similar}"
            )
    return new


def _in_words(answer: str) -> str:
    return repr(answer) if answer else "not mine"
