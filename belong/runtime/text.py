"""Text for people: counts, tables, names that can be printed, lines on standard error."""

import sys
from collections.abc import Sequence
from pathlib import Path


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a table; its first `left` columns hold words, the others numbers to the right."""
    rule = ["---"] * left + ["---:"] * (len(headings) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in (headings, rule, *rows))


# The last four are the wide forms of the first: some spreadsheets take them for these.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def in_table(path: Path | str) -> str:
    """Return the path as `printable` does, behind `./` where it would be a formula."""
    name = printable(path)
    return f"./{name}" if name.startswith(FORMULA) else name


def printable(path: Path | str) -> str:
    r"""Return a name as text; bytes of it that are not UTF-8 become \x and two digits."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def say(text: str) -> None:
    """Tell the user something, in one line on standard error, behind the program's name."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.stem == "__main__" else program.stem  # python -m belong
    on_stderr(f"{name}: {text}")


def on_stderr(text: str) -> None:
    """Print on standard error: of a command, all but its answer."""
    print(text, file=sys.stderr)  # noqa: T201


def counted(count: int, one: str, more: str = "") -> str:
    """Return "1 image", "2 images", "1,000 classes"."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"
