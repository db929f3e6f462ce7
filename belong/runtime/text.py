"""Format text for people: counts, tables, printable names, lines on standard error."""

import functools
import math
import os
import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a Markdown table; the first `left` columns are left-aligned, the others right."""
    rule = ["---"] * left + ["---:"] * (len(headings) - left)
    return "\n".join("| " + " | ".join(row) + " |" for row in (headings, rule, *rows))


# Control characters, line separators, and characters that switch the writing direction.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
HARMFUL = re.compile(UNPRINTABLE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
INEXACT = re.compile(UNPRINTABLE.pattern[:-1] + "%\udc80-\udcff]")

# The last four are the full-width forms of the first four, which some spreadsheets treat alike.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def in_table(path: Path | str) -> str:
    r"""Return a path for a table cell, with `./` in front if a spreadsheet would see a formula.

    Bytes that are not UTF-8 become \x and two digits; the other characters stay, so that the path
    still names the file.
    """
    name = _as_text(path)
    return f"./{name}" if name.startswith(FORMULA) else name


def printable(path: Path | str) -> str:
    r"""Return a name as one line without control characters.

    Control characters, and bytes that are not UTF-8, become \x and two digits.
    """
    return UNPRINTABLE.sub(_escaped, _as_text(path))


def exact(path: Path | str) -> str:
    """Return a path as one line of text, from which `from_exact` restores the same bytes.

    Bytes that are not UTF-8, control characters and `%` become % and two digits, as in a URI.
    """
    return INEXACT.sub(lambda match: quote(os.fsencode(match[0]), safe=""), str(path))


def from_exact(text: str) -> str:
    """Return the path from the result of `exact`."""
    return os.fsdecode(unquote_to_bytes(text))


def folded(name: str) -> str:
    """Return a name without its case and the encoding of its accents, to find similar names."""
    return unicodedata.normalize("NFC", name).casefold()


def harmless(text: str) -> str:
    """Escape the control characters in lines of text, which names may contain."""
    return HARMFUL.sub(_escaped, text)


def _as_text(path: Path | str) -> str:
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


SMALLEST_SHARE = 1e-6  # smaller shares are formatted as "<0.0001%"

PROJECT = ("belong", "benchmarks", "reproduction", "stages")


@functools.cache  # another thread may replace `__main__` for a moment, see data/isolation.py
def program() -> str:
    """Return the name of the project's module that `python -m` runs, else "belong".

    A script or a notebook that calls the library is not the program that speaks.
    """
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = spec.name.removesuffix(".__main__") if spec else "belong"
    return module.rpartition(".")[2] if module.partition(".")[0] in PROJECT else "belong"


def say(text: str) -> None:
    """Print a line on standard error, after the program's name."""
    on_stderr(f"{program()}: {text}")


def on_stderr(text: str) -> None:
    """Print on standard error, if it is open: messages and progress."""
    if sys.stderr is not None:  # otherwise `print` would use standard output
        print(harmless(text), file=sys.stderr)  # noqa: T201


def on_stdout(text: str) -> None:
    """Print on standard output: the result of a command."""
    print(harmless(text))  # noqa: T201


def open_streams() -> None:
    """Open closed standard streams, such as those of a daemon, on the null device.

    Otherwise the next opened file would take the stream's number, and prints would go into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:  # an import has opened a file in between
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def counted(count: int, one: str, more: str = "") -> str:
    """Return "1 image", "2 images", "1,000 classes"."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def percent(share: float, digits: int = 2) -> str:
    """Format a measured share: "0.07%", "1.9%", "26%", "99.93%"; only none is "0%".

    `digits` are the significant digits of the share, or of what it lacks to 100% if that is less.
    Use 3 where the share is compared with a limit or a range.
    """
    least = min(abs(share), abs(1 - share))
    if not least > 0:  # or not a number
        return f"{share:.0%}"
    if least < SMALLEST_SHARE:
        return f"<{SMALLEST_SHARE:.4%}" if share < 0.5 else f">{1 - SMALLEST_SHARE:.4%}"
    decimals = max(digits - 1 - math.floor(math.log10(100 * least)), 0)
    text = f"{100 * share:.{min(decimals, 4)}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text}%"


def percent_of(rate: float) -> str:
    """Format a chosen rate, such as alpha, with three significant digits: "2.5%", "5%"."""
    return f"{float(f'{100 * rate:.3g}'):.15g}%"
