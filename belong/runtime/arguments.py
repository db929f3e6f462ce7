"""Check the arguments of the public functions, and refuse a wrong one in one line."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from belong.runtime.argument_names import heading
from belong.runtime.errors import InputError
from belong.runtime.text import printable

T = TypeVar("T")
SHOWN = 80  # characters of a wrong value in a message
URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # `Path` turns // into /


def refuse(name: str, expected: str, value: object) -> NoReturn:
    """Raise an InputError `name: expected EXPECTED, got VALUE`."""
    text = " ".join(repr(value).split())
    raise InputError(f"{heading(name)}: expected {expected}, got {_short(text)}")


def check_whole(name: str, value: object, *, least: int = 1) -> None:
    """Refuse a value that is not a whole number, or is less than `least`."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        refuse(name, "a whole number", value)
    if int(value) < least:
        refuse(name, f"at least {least}", value)


def check_share(name: str, value: object, *, ends: bool = False) -> None:
    """Refuse a value that is not a number between 0 and 1; `ends` allows 0 and 1 themselves."""
    number: Any = value if isinstance(value, Real) and not isinstance(value, bool) else -1
    if not (0 <= number <= 1 if ends else 0 < number < 1):
        refuse(
            name, "a number from 0 to 1" if ends else "a number between 0 and 1 (exclusive)", value
        )


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Refuse a value that is not among `choices`."""
    if not (isinstance(value, str) and value in choices):
        refuse(name, f"one of {', '.join(choices)}", value)


def check_flag(name: str, value: object) -> None:
    """Refuse a value that is neither True nor False."""
    if not isinstance(value, bool):
        refuse(name, "True or False", value)


def check_settings(value: object) -> None:
    """Refuse a value that does not map names to values."""
    if not (isinstance(value, Mapping) and all(isinstance(key, str) for key in value)):
        refuse("settings", "a mapping of dotted keys to values", value)


def is_rgb(value: Sequence[object]) -> bool:
    """Return whether a sequence holds three whole numbers from 0 to 255."""
    return len(value) == 3 and all(type(part) is int and 0 <= part <= 255 for part in value)


def options_or_default(value: T | None, kind: type[T]) -> T:
    """Return the options, or the defaults of the class if None; refuse any other value."""
    if value is not None and not isinstance(value, kind):
        refuse("options", f"belong.{kind.__name__}", value)
    return kind() if value is None else value


def as_path(name: str, value: object) -> Path:
    """Return a path; refuse a value that is not a path, or that the system cannot look up."""
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str) or not text:
        refuse(name, "a path", value)
    if is_url(text):
        refuse(name, "a folder or file, not a URL", text)
    path = Path(text)
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # the caller decides whether the path has to exist
    except ValueError:  # a zero byte, or a surrogate
        refuse(name, "a path", value)
    except OSError as error:
        raise InputError(f"{_short(printable(path))}: {error.strerror}") from None
    return path


def is_url(text: str) -> bool:
    """Return whether a text is a URL and not the name of an existing file or folder."""
    return bool(URL.match(text)) and not os.path.lexists(text)


def check_place(folder: Path) -> None:
    """Refuse a folder if it, or one of its parents, is a file."""
    existing = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not existing.is_dir():
        raise InputError(f"{printable(existing)}: not a folder; expected a folder or a new name")


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
