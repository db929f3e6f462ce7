"""`belong info`: a model, checked, and what it says of itself."""

import argparse
from pathlib import Path

from belong.runtime.text import on_stdout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong info` takes."""
    parser.add_argument("model", type=Path, metavar="FOLDER", help="the model, such as data/bundle")
    parser.add_argument("--json", action="store_true", help="print manifest.json as it is")


def run(arguments: argparse.Namespace) -> int:
    """Print the model card."""
    from belong.prediction.model import load_model

    model = load_model(arguments.model)
    on_stdout((model.info.text if arguments.json else model.card).removesuffix("\n"))
    return 0
