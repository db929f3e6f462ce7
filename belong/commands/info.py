"""Parse `belong info FOLDER`: check a model, and print its model card."""

import argparse

from belong.commands.arguments import epilog, local_path
from belong.runtime.text import on_stdout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong info`."""
    parser.epilog = epilog(
        "belong info models/ours",
        exit_codes={0: "done", 2: "bad input", 4: "the model is damaged"},
    )
    parser.add_argument("model", type=local_path, metavar="MODEL", help="folder of the model")
    parser.add_argument(
        "--json", action="store_true", help="print manifest.json instead of the model card"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the model card."""
    from belong.prediction.model import load_model

    model = load_model(arguments.model)
    on_stdout((model.info.text if arguments.json else model.card).removesuffix("\n"))
    return 0
