"""Write the generated parts of README.md and docs/ on the commands, from their parsers.

    python -m reproduction.command_pages .

Writes  root   README.md and docs/commands/index.md: the table of the commands;
               docs/commands/NAME.md: the usage, arguments, options and exit codes of each command.
               Everything outside the markers is kept; a missing page is created.
"""

import argparse
import os
import sys
from pathlib import Path
from unittest import mock

from belong.commands.main import COMMANDS, parser
from belong.runtime.storage import save_text
from belong.runtime.text import table
from reproduction.markers import replaced

PAGE = """# belong {name}

{does}

## Usage

<!-- options: generated -->
<!-- options: end -->
"""
COLUMNS = "100"  # width of the usage


def command_parser(name: str) -> argparse.ArgumentParser:
    """Return the parser of a command, with the defaults of a machine with one processor."""
    with mock.patch.object(os, "cpu_count", return_value=1):
        top = parser(name)
    (commands,) = (one for one in top._actions if isinstance(one, argparse._SubParsersAction))
    command: argparse.ArgumentParser = commands.choices[name]
    return command


def options(name: str) -> str:
    """Return the usage of a command as a block, a table for each group, and its epilog."""
    command = command_parser(name)
    with mock.patch.dict(os.environ, {"COLUMNS": COLUMNS, "NO_COLOR": "1"}):
        usage = command.format_usage().strip()
    parts = ["```text", usage, "```"]
    for group in command._action_groups:
        actions = [one for one in group._group_actions if one.dest != "help"]
        if actions:
            title = str(group.title).rstrip(":")
            parts += ["", f"**{title[:1].upper()}{title[1:]}**", ""]
            parts.append(table(("name", "meaning"), [row(command, one) for one in actions], left=2))
    if command.epilog:
        text = command.epilog.strip()
        lines = ["```text", text, "```"] if "\n" in text else [f"{text[:1].upper()}{text[1:]}"]
        parts += ["", *lines]
    return "\n".join(parts)


def row(command: argparse.ArgumentParser, action: argparse.Action) -> tuple[str, str]:
    """Return the name and the help of an argument, safe for a cell of a table."""
    formatter = command._get_formatter()
    metavar = formatter._metavar_formatter(
        action, formatter._get_default_metavar_for_optional(action)
    )
    value = "" if action.nargs == 0 else f" {formatter._format_args(action, metavar(1)[0])}"
    names = ", ".join(action.option_strings)
    usage = f"{names}{value}" if names else str(metavar(1)[0])
    text = formatter._expand_help(action) if action.help else ""
    mark = " (required)" if action.option_strings and action.required else ""
    return f"`{usage}`".replace("|", "\\|"), f"{text}{mark}".replace("|", "\\|")


def commands(folder: str) -> str:
    """Return the table of the commands, with links to their pages in `folder`."""
    rows = [(f"[`belong {name}`]({folder}{name}.md)", does) for name, (_, does) in COMMANDS.items()]
    return table(("command", "what it does"), rows, left=2)


def pages(root: Path) -> dict[Path, str]:
    """Return path -> page, with the generated parts of the present parsers."""
    folder = root / "docs" / "commands"
    texts = {
        path: replaced(path.read_text(encoding="utf-8"), "commands", commands(links))
        for path, links in ((root / "README.md", "docs/commands/"), (folder / "index.md", ""))
    }
    for name, (_, does) in COMMANDS.items():
        path = folder / f"{name}.md"
        new_page = PAGE.format(name=name, does=f"{does[0].upper()}{does[1:]}.")
        text = path.read_text(encoding="utf-8") if path.exists() else new_page
        texts[path] = replaced(text, "options", options(name))
    return texts


if __name__ == "__main__":
    for page, text in pages(Path(sys.argv[1])).items():
        save_text(page, text)
