"""Numbers on the command line."""

import argparse


def share(text: str) -> float:
    """Return a number between 0 and 1, neither of both."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a number between 0 and 1")
    return value


def count(text: str) -> int:
    """Return a whole number from 1 on."""
    if not (text.isascii() and text.isdecimal()) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, wanted a whole number from 1 on")
    return int(text)
