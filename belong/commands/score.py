"""Parse `belong score FOLDER`: decide for each image whether it belongs."""

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from belong.calibration.sample_size import GUARANTEES
from belong.commands.arguments import (
    add_scoring_options,
    epilog,
    local_path,
    scoring_options,
    share,
)
from belong.runtime.text import counted, on_stdout, percent, percent_of

if TYPE_CHECKING:
    from belong.data.file_discovery import Incoming


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong score`."""
    parser.epilog = epilog(
        "belong score photos/new --model models/ours -o build/new",
        exit_codes={
            0: "done",
            2: "bad input",
            3: "no image can be read",
            4: "the model is damaged",
        },
    )
    parser.add_argument(
        "images", metavar="IMAGES",
        help="folder, file, or - for paths on standard input",
    )  # fmt: skip
    parser.add_argument(
        "--model", type=local_path, required=True, metavar="FOLDER", help="folder of the model"
    )
    parser.add_argument(
        "-o", "--output", type=local_path, required=True, metavar="FOLDER",
        help="folder for predictions.csv, summary.json and gallery.html",
    )  # fmt: skip
    parser.add_argument(
        "--alpha", type=share, metavar="SHARE",
        help="promised false-rejection rate (default: the model's)",
    )  # fmt: skip
    parser.add_argument(
        "--guarantee", choices=GUARANTEES, help="scope of the rate (default: the model's)"
    )
    parser.add_argument(
        "--fdr", type=share, metavar="SHARE",
        help="false discovery rate of rejected images, instead of alpha",
    )  # fmt: skip
    add_scoring_options(parser)
    parser.add_argument(
        "--sort", dest="how", choices=("link", "copy", "move"),
        help="sort images into OUTPUT/sorted; undo with `belong unsort`",
    )  # fmt: skip
    parser.add_argument(
        "--write-list", nargs="?", choices=("lines", "null"), const="lines",
        help="write belongs.txt, rejected.txt, unreadable.txt (default: lines)",
    )  # fmt: skip
    parser.add_argument("--no-gallery", action="store_true", help="do not write gallery.html")


def run(arguments: argparse.Namespace) -> int:
    """Score the images, and print a summary."""
    # Imported here: `--help` does not need them. The model is loaded first, so that a wrong name is
    # reported at once.
    from belong.prediction.model import load_model
    from belong.prediction.scoring_run import score_files
    from belong.runtime.text import on_stderr, printable

    model = load_model(arguments.model, device=arguments.device)
    if arguments.how and resumes_sorting(arguments):
        return 0
    incoming, source = find(arguments.images, follow_links=arguments.follow_links)
    output, options = arguments.output, scoring_options(arguments)
    overrides = {name: getattr(arguments, name) for name in ("alpha", "guarantee", "fdr")}
    options = replace(options, **overrides)
    names: list[str] = []  # readable files
    gallery: dict[str, Any] = {"finish": names.extend}
    if not arguments.no_gallery:
        from belong.reporting.gallery.selection import MOST, photo_px
        from belong.reporting.gallery.sprite_sheets import KeptImages

        kept_images, count = KeptImages(), len(incoming.files)
        gallery["observe"] = kept_images.observe
        if count <= MOST:  # otherwise the gallery shows a selection, made after scoring
            gallery["thumbnail_px"] = photo_px(count)

        def save(readable: list[str]) -> None:
            names.extend(readable)
            from belong.reporting.gallery.gallery import save_gallery  # imported after scoring

            save_gallery(
                incoming, readable, model, output, options, source=source, kept_images=kept_images
            )

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
    sort_and_list(arguments, incoming, names)
    return 0


def resumes_sorting(arguments: argparse.Namespace) -> bool:
    """Finish an interrupted sorting, whose images may have been moved already."""
    from belong.commands.sorting import finish_sorting

    source = "" if arguments.images == "-" else arguments.images
    source = source if os.path.isdir(source) else ""  # noqa: PTH112
    counts = finish_sorting(arguments.output, source, arguments.how)
    if counts is not None:
        say_sorted(counts, arguments.output)
    return counts is not None


def sort_and_list(arguments: argparse.Namespace, incoming: "Incoming", readable: list[str]) -> None:
    """Sort the images by their verdicts, and write the lists, as requested."""
    if not (arguments.how or arguments.write_list):
        return
    from belong.commands import sorting
    from belong.prediction.prediction_files import PREDICTIONS
    from belong.runtime.storage import load_csv

    out = arguments.output
    rows = load_csv(out / PREDICTIONS, "class", "belongs", as_text=True)
    groups = dict.fromkeys(incoming.files, sorting.UNREADABLE)
    for file, name, belongs in zip(readable, rows["class"], rows["belongs"], strict=True):
        groups[file] = sorting.group_of(name, belongs=belongs == "True")
    if arguments.write_list:
        ends_in_null = arguments.write_list == "null"
        sorting.write_lists(incoming, groups, out, ends_in_null=ends_in_null)
    if arguments.how:
        say_sorted(sorting.sort_files(incoming, groups, out, how=arguments.how), out)


def say_sorted(counts: dict[str, int], out: Path) -> None:
    """Print the number of images in each folder of the tree, and the command that undoes it."""
    from belong.runtime.text import printable

    numbers = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    on_stdout(f"{printable(out / 'sorted')}: {numbers}; `belong unsort {printable(out)}` undoes it")


def find(images: str, *, follow_links: bool = False) -> "tuple[Incoming, str]":
    """Return the files that an argument names, and the name of the source for messages."""
    from belong.data.file_discovery import below, listed
    from belong.runtime.arguments import as_path
    from belong.runtime.errors import InputError
    from belong.runtime.text import printable

    source = printable(images)
    if source == "-":
        return listed(sys.stdin.buffer), "standard input"
    path = as_path("images", images)
    if path.is_dir():
        return below(path, follow_links=follow_links), source
    if path.exists() or path.is_symlink():
        return listed([os.fsencode(path)]), source
    raise InputError(f"{source}: no such file or folder")


def say(summary: dict[str, Any], out: str) -> None:
    """Print the numbers of rejected and unreadable images."""
    guarantee, usual = summary["guarantee"], ""
    if summary["promised"]:
        promised, low, high = (summary["promised"][key] for key in ("alpha", "low", "high"))
        # With one image, or few, there is no range.
        expected = f"{percent_of(promised)} on average"
        if low < high:
            expected = f"{percent(low, 3)} to {percent(high, 3)}"
        usual = f"; expected if all belong: {expected}"
    left_out = f", {summary['unreadable']:,} cannot be read" if summary["unreadable"] else ""
    images, rejected = counted(summary["images"], "image"), summary["rejected"]
    on_stdout(
        f"{images}{left_out}; {rejected:,} {'does' if rejected == 1 else 'do'} not belong "
        f"({percent(summary['rejected_share'], 3)}{usual})\n"
        f"{guarantee['in_words']}: {guarantee['sentence']}\n"
        f"{out}/predictions.csv has the verdict for each image"
    )
