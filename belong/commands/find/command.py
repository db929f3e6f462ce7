"""`belong find FOLDER -o OUT`: the strangest images of a folder without classes.

The work is in `find`, which is imported when it is called.
"""

import argparse
from functools import partial
from pathlib import Path

from belong.commands.arguments import MOST, add_backbone_arguments, add_setting_arguments, count
from belong.commands.find.options import TOP, FindOptions
from belong.runtime.text import on_stdout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = (
        "OUT gets gallery.html, strange.csv, unreadable.csv, ignored.csv and summary.json. Images "
        "are ranked; nothing is said about which ones belong. After an interruption the same "
        "command goes on where it was. Exit code 3: no image can be read."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER",
                        help="images, in sub-folders too; or IDX files")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT",
                        help="folder for the results")  # fmt: skip
    parser.add_argument("--top", type=partial(count, most=1000), default=TOP, metavar="N",
                        help=f"images of each method in the gallery (default: {TOP})")  # fmt: skip
    add_backbone_arguments(parser)
    add_setting_arguments(parser)
    parser.add_argument("--jobs", type=partial(count, most=MOST), metavar="N",
                        help="processes that decode (default: all processors)")  # fmt: skip
    parser.add_argument("--follow-links", action="store_true",
                        help="follow links that lead out of the image folder")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true",
                        help="replace results of another run")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Rank the images, and print the first ones."""
    from belong.commands.fit.settings import command_line_settings, request_math

    settings = command_line_settings(arguments)
    request_math(settings)
    from belong.commands.find.find import find
    from belong.commands.find.results import in_words

    options = FindOptions(
        top=arguments.top,
        backbone=arguments.backbone,
        weights=arguments.weights,
        from_scratch=arguments.from_scratch,
        overwrite=arguments.overwrite,
        follow_links=arguments.follow_links,
        jobs=arguments.jobs,
        settings=settings,
    )
    result = find(arguments.folder, arguments.output, options)
    on_stdout(in_words(result.summary, result.output))
    return 0
