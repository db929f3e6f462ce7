"""Write the path of a file into a table so that a spreadsheet takes it for text.

A cell that begins with one of a few signs is a formula to a spreadsheet, and a stranger chooses the
names of uploads (OWASP, CSV Injection). `./` before a path begins with none of them, and to every
program the path names the same file.
"""

from pathlib import Path

from belong.class_folders import printable

# The last four are the wide forms of the first: some spreadsheets take them for these.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def in_table(path: Path | str) -> str:
    """Return the path as `printable` does, behind `./` where it would be a formula."""
    name = printable(path)
    return f"./{name}" if name.startswith(FORMULA) else name
