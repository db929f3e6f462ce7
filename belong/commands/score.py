"""`belong score`: a folder of images in, a verdict for each image out."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from belong.calibration.sample_size import GUARANTEES
from belong.commands.arguments import add_scoring_options, scoring_options, share
from belong.runtime.text import counted, on_stdout

if TYPE_CHECKING:
    from belong.data.file_discovery import Incoming


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
    parser.add_argument(
        "--alpha", type=share, metavar="SHARE",
        help="share of images that belong to be rejected (default: the model's)",
    )  # fmt: skip
    parser.add_argument(
        "--guarantee", choices=GUARANTEES, help="what alpha holds for (default: the model's)"
    )
    parser.add_argument(
        "--fdr", type=share, metavar="SHARE",
        help="instead: most of the rejected images that belong",
    )  # fmt: skip
    add_scoring_options(parser)
    parser.add_argument("--no-gallery", action="store_true", help="write no gallery.html")


def run(arguments: argparse.Namespace) -> int:
    """Score, and say in two lines what came out."""
    # Not at the top: the help needs none of it. The model is loaded first, so that a mistake in
    # its name is answered at once.
    from belong.prediction.model import load_model
    from belong.prediction.scoring_run import score_files
    from belong.runtime.text import on_stderr, printable

    model = load_model(arguments.model, device=arguments.device)
    incoming, source = find(arguments.images, follow_links=arguments.follow_links)
    output, options = arguments.out, scoring_options(arguments)
    moved = {name: getattr(arguments, name) for name in ("alpha", "guarantee", "fdr")}
    options = replace(options, **moved)
    gallery: dict[str, Any] = {}
    if not arguments.no_gallery:
        from belong.reporting.gallery.selection import MOST, photo_px
        from belong.reporting.gallery.sprite_sheets import KeptImages

        kept, count = KeptImages(), len(incoming.files)
        if count <= MOST:  # of more, the page holds those that are chosen when all are scored
            gallery = {"observe": kept.observe, "thumbnail_px": photo_px(count)}

        def save(read: list[str]) -> None:
            from belong.reporting.gallery.gallery import save_gallery  # when all are scored

            save_gallery(incoming, read, model, output, options, source=source, kept=kept)

        gallery["finish"] = save
    summary = score_files(
        incoming,
        model,
        output,
        options,
        source=source,
        say=on_stderr,
        **gallery,
    )
    say(summary, printable(output))
    return 0


def find(images: str, *, follow_links: bool = False) -> "tuple[Incoming, str]":
    """Return the files that an argument stands for, and their name for people."""
    from belong.data.file_discovery import below, listed
    from belong.runtime.arguments import as_path
    from belong.runtime.errors import InputError
    from belong.runtime.text import printable

    source = printable(images)
    if source == "-":
        return listed(sys.stdin.buffer), "standard input"
    given = as_path("images", images)
    if given.is_dir():
        return below(given, follow_links=follow_links), source
    if given.exists() or given.is_symlink():
        return listed([os.fsencode(given)]), source
    raise InputError(f"{source}: no such file or folder")


def say(summary: dict[str, Any], out: str) -> None:
    """Print what came out."""
    guarantee, usual = summary["guarantee"], ""
    if summary["promised"]:
        promised, low, high = (summary["promised"][key] for key in ("alpha", "low", "high"))
        # Of one image, or of few, the range would be none.
        usual = f"{low:.2%} to {high:.2%}" if low < high else f"{promised:.2%} on average"
        usual = f"; if all belonged, {usual} would be rejected"
    left_out = f", {summary['unreadable']:,} cannot be read" if summary["unreadable"] else ""
    images, rejected = counted(summary["images"], "image"), summary["rejected"]
    on_stdout(
        f"{images}{left_out}; {rejected:,} {'does' if rejected == 1 else 'do'} not belong "
        f"({summary['rejected_share']:.2%}{usual})\n"
        f"{guarantee['in_words']}: {guarantee['sentence']}\n"
        f"{out} has the verdict of each image"
    )
