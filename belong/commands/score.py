"""`belong score`: a folder of images in, a verdict for each image out."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from belong.commands.arguments import add_scoring_options, scoring_options
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
    add_scoring_options(parser)
    parser.add_argument(
        "--sort", choices=("link", "copy", "move"),
        help="sort the images into OUT/sorted; `belong unsort OUT` undoes",
    )  # fmt: skip
    parser.add_argument(
        "--write-list", nargs="?", choices=("lines", "null"), const="lines",
        help="write belongs.txt, rejected.txt, unreadable.txt (default: lines)",
    )  # fmt: skip
    parser.add_argument("--no-gallery", action="store_true", help="write no gallery.html")


def run(arguments: argparse.Namespace) -> int:
    """Score, and say in two lines what came out."""
    # Not at the top: the help needs none of it. The model is loaded first, so that a mistake in
    # its name is answered at once.
    from belong.prediction.model import load_model
    from belong.prediction.scoring_run import score_files
    from belong.runtime.text import on_stderr, printable

    model = load_model(arguments.model, device=arguments.device)
    if arguments.sort and goes_on(arguments):
        return 0
    incoming, source = find(arguments.images, follow_links=arguments.follow_links)
    output, options = arguments.out, scoring_options(arguments)
    names: list[str] = []  # of the files that can be read
    gallery: dict[str, Any] = {"finish": names.extend}
    if not arguments.no_gallery:
        from belong.reporting.gallery.selection import MOST, photo_px
        from belong.reporting.gallery.sprite_sheets import KeptImages

        kept, count = KeptImages(), len(incoming.files)
        if count <= MOST:  # of more, the page holds those that are chosen when all are scored
            gallery = {"observe": kept.observe, "thumbnail_px": photo_px(count)}

        def save(read: list[str]) -> None:
            names.extend(read)
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
    act(arguments, incoming, names)
    return 0


def goes_on(arguments: argparse.Namespace) -> bool:
    """Finish a sorting that was interrupted: its images may have left their folder already."""
    from belong.commands.sorting import finish_sorting

    source = "" if arguments.images == "-" else arguments.images
    source = source if os.path.isdir(source) else ""  # noqa: PTH112
    counts = finish_sorting(arguments.out, source, arguments.sort)
    if counts is not None:
        say_sorted(counts, arguments.out)
    return counts is not None


def act(arguments: argparse.Namespace, incoming: "Incoming", read: list[str]) -> None:
    """Sort the images by their verdicts, and write the lists of them, as far as is asked for."""
    if not (arguments.sort or arguments.write_list):
        return
    from belong.commands import sorting
    from belong.prediction.prediction_files import PREDICTIONS
    from belong.runtime.storage import load_csv

    out = arguments.out
    rows = load_csv(out / PREDICTIONS, "class", "belongs", as_text=True)
    groups = dict.fromkeys(incoming.files, sorting.UNREADABLE)
    for file, name, belongs in zip(read, rows["class"], rows["belongs"], strict=True):
        groups[file] = sorting.group_of(name, belongs=belongs == "True")
    if arguments.write_list:
        ends_in_null = arguments.write_list == "null"
        sorting.write_lists(incoming, groups, out, ends_in_null=ends_in_null)
    if arguments.sort:
        say_sorted(sorting.sort_files(incoming, groups, out, how=arguments.sort), out)


def say_sorted(counts: dict[str, int], out: Path) -> None:
    """Say how many images are in each folder of the tree, and what takes them back."""
    from belong.runtime.text import printable

    numbers = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    on_stdout(f"{printable(out / 'sorted')}: {numbers}; `belong unsort {printable(out)}` undoes it")


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
    promised, low, high = (summary["promised"][key] for key in ("alpha", "low", "high"))
    # Of one image, or of few, the range would be none.
    usual = f"{low:.2%} to {high:.2%}" if low < high else f"{promised:.2%} on average"
    left_out = f", {summary['unreadable']:,} cannot be read" if summary["unreadable"] else ""
    images, rejected = counted(summary["images"], "image"), summary["rejected"]
    on_stdout(
        f"{images}{left_out}; {rejected:,} {'does' if rejected == 1 else 'do'} not belong "
        f"({summary['rejected_share']:.2%}; if all belonged, {usual} would be rejected)\n"
        f"{out} has the verdict of each image"
    )
