"""`belong score`: a folder of images in, a verdict for each image out."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from belong.commands.arguments import add_computing
from belong.runtime.text import counted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong score` takes."""
    parser.add_argument(
        "images", metavar="FOLDER",
        help="images, in sub-folders too; or one file; or -: paths from standard input",
    )  # fmt: skip
    parser.add_argument(
        "--model", type=Path, required=True, metavar="FOLDER", help="the model, such as data/bundle"
    )
    parser.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FOLDER",
        help="for predictions.csv, unreadable.csv, summary.json and gallery.html",
    )  # fmt: skip
    add_computing(parser)
    parser.add_argument("--no-gallery", action="store_true", help="write no gallery.html")


def run(arguments: argparse.Namespace) -> int:
    """Score, and say in two lines what came out."""
    # Not at the top: the help needs none of it. The model is looked at first, so that a mistake in
    # its name is answered at once.
    from belong.data.file_discovery import below, listed
    from belong.prediction.bundle import Bundle
    from belong.runtime.errors import InputError
    from belong.runtime.text import printable

    bundle = Bundle.load(arguments.model)
    given, source = Path(arguments.images), printable(arguments.images)
    if source == "-":
        incoming, source = listed(sys.stdin.buffer), "standard input"
    elif given.is_dir():
        incoming = below(given)
    elif given.exists() or given.is_symlink():
        incoming = listed([os.fsencode(given)])
    else:
        raise InputError(f"{source}: no such file or folder")

    from belong.prediction.batch_prediction import score_files

    summary = score_files(
        incoming,
        bundle,
        arguments.out,
        source=source,
        jobs=arguments.jobs,
        batch_size=arguments.batch_size,
        device_name=arguments.device,
        overwrite=arguments.overwrite,
        say=lambda text: print(text, file=sys.stderr),  # noqa: T201
    )
    if not arguments.no_gallery:
        from belong.reporting.gallery.gallery import save_gallery

        save_gallery(
            incoming,
            bundle,
            arguments.out,
            source=source,
            jobs=arguments.jobs,
            batch_size=arguments.batch_size,
            device_name=arguments.device,
        )
    say(summary, printable(arguments.out))
    return 0


def say(summary: dict[str, Any], out: str) -> None:
    """Print what came out."""
    promised = summary["promised"]
    left_out = f", {summary['unreadable']:,} cannot be read" if summary["unreadable"] else ""
    images, rejected = counted(summary["images"], "image"), summary["rejected"]
    print(  # noqa: T201
        f"{images}{left_out}; {rejected:,} {'does' if rejected == 1 else 'do'} not belong "
        f"({summary['rejected_share']:.2%}; if all belonged, {promised['low']:.2%} to "
        f"{promised['high']:.2%} would be rejected)\n{out} has the verdict of each image"
    )
