"""Name an argument in a message as the caller knows it: `alpha=` in Python, `--alpha` in a command.

    raise InputError(f"{folder}: a folder of images needs {named('model')}")

The parser of a command is the only table: an option that sets an argument of the public API has the
argument's name as its `dest`, as in `add_argument("--calibration-images", dest="n_calibration")`.
"""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_options: Mapping[str, str] | None = None  # of the running command; None: called from Python


def options_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return argument -> option of a command."""
    actions = [action for action in parser._actions if action.option_strings]
    return {action.dest: max(action.option_strings, key=len) for action in actions}


@contextmanager
def of_command(options: Mapping[str, str]) -> Iterator[None]:
    """Name arguments by the options of a command in the block."""
    global _options
    before, _options = _options, options
    try:
        yield
    finally:
        _options = before


def named(argument: str, value: object = None) -> str:
    """Return the name of an argument inside a sentence, with a value if one is meant.

    In a command, the value True is a flag, as in `--overwrite`.
    """
    if _options is None:
        return f"{argument}=" if value is None else f"{argument}={value!r}"
    option = _options.get(argument) or f"--{argument.replace('_', '-')}"
    return option if value is None or value is True else f"{option} {value}"


def heading(argument: str) -> str:
    """Return the name of an argument before a colon: `alpha` in Python, `--alpha` in a command."""
    return argument if _options is None else _options.get(argument, argument)
