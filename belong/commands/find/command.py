"""Parse `belong find FOLDER -o OUT`: rank the most unusual images of a folder without classes."""

import argparse
from functools import partial

from belong.commands.arguments import (
    MOST,
    add_backbone_arguments,
    add_setting_arguments,
    count,
    epilog,
    local_path,
)
from belong.commands.find.options import TOP, FindOptions
from belong.runtime.text import on_stdout


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong find`."""
    parser.epilog = epilog(
        "belong find photos/mixed -o build/strange",
        notes=(
            "Images are ranked; there is no verdict.\n"
            "After an interruption, run the same command to resume."
        ),
        exit_codes={0: "done", 2: "bad input", 3: "no image can be read"},
    )
    parser.add_argument("folder", type=local_path, metavar="FOLDER",
                        help="images, also in subfolders; or IDX files")  # fmt: skip
    parser.add_argument("-o", "--output", type=local_path, required=True, metavar="FOLDER",
                        help="folder for gallery.html, strange.csv and summary.json")  # fmt: skip
    parser.add_argument("--top", type=partial(count, most=1000), default=TOP, metavar="N",
                        help="images per method in the gallery (default: %(default)s)")  # fmt: skip
    add_backbone_arguments(parser)
    add_setting_arguments(parser)
    parser.add_argument("--jobs", type=partial(count, most=MOST), metavar="N",
                        help="decoding processes (default: all processors)")  # fmt: skip
    parser.add_argument("--follow-links", action="store_true",
                        help="follow links that lead out of the folder")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true",
                        help="replace results of another run")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Rank the images and print a summary."""
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
