"""Parse `belong clean FOLDER -o OUT`: find mislabeled and foreign images in a labeled folder."""

import argparse
from collections.abc import Mapping
from functools import partial
from typing import Any

from belong.commands.arguments import (
    add_backbone_arguments,
    add_setting_arguments,
    count,
    epilog,
    local_path,
    share,
)
from belong.commands.clean.options import FALSE_ALARMS, FOLDS, MOST_FOLDS, CleanOptions
from belong.runtime.exit_codes import NOT_GOOD_ENOUGH
from belong.runtime.text import counted, on_stdout, printable, say

# Problems of manifest.csv in the words of the summary, where they differ.
TERMS = {
    "wrong_class": "mislabeled", "two_classes": "in two classes", "near_copy": "near duplicates",
    "nearly_blank": "nearly blank", "too_few": "too few images in the class", "copy": "duplicates",
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong clean`."""
    parser.epilog = epilog(
        "belong clean photos/train -o build/clean --link",
        notes=(
            "No file in FOLDER is changed or deleted.\n"
            "verdicts: keep, review (look at it), quarantine (would harm training)"
        ),
        exit_codes={
            0: "done",
            2: "bad input",
            3: "no image can be read",
            5: "labels or foreign images cannot be judged",
        },
    )
    parser.add_argument("folder", type=local_path, metavar="FOLDER",
                        help="one subfolder of images per class")  # fmt: skip
    parser.add_argument("-o", "--output", type=local_path, required=True, metavar="FOLDER",
                        help="folder for manifest.csv, suspects.html and summary.json")  # fmt: skip
    tree = parser.add_mutually_exclusive_group()
    tree.add_argument("--link", dest="tree", action="store_const", const="link",
                      help="link the images to keep in OUTPUT/cleaned")  # fmt: skip
    tree.add_argument("--copy", dest="tree", action="store_const", const="copy",
                      help="copy the images to keep to OUTPUT/cleaned")  # fmt: skip
    parser.add_argument("--with-review", action="store_true",
                        help="also link or copy the images to review")  # fmt: skip
    parser.add_argument("--false-alarms", type=share, default=FALSE_ALARMS, metavar="SHARE",
                        help="maximum false discovery rate (default: %(default)s)")  # fmt: skip
    parser.add_argument("--least-side", dest="least_side_px", type=count, metavar="PX",
                        help="minimum image side (default: a quarter of the median)")  # fmt: skip
    parser.add_argument("--folds", type=partial(count, most=MOST_FOLDS), default=FOLDS, metavar="N",
                        help="cross-validation folds (default: %(default)s)")  # fmt: skip
    add_backbone_arguments(parser)
    add_setting_arguments(parser)
    parser.add_argument("--jobs", type=count, metavar="N",
                        help="decoding processes (default: all processors)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true",
                        help="replace results of another run")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Clean the folder, and print a summary."""
    from belong.commands.clean.class_folders import class_folders
    from belong.commands.fit.settings import command_line_settings, request_math

    settings = command_line_settings(arguments)
    class_folders(arguments.folder)  # refuses a wrong folder before any slow import
    request_math(settings)
    from belong.commands.clean.clean import clean

    options = CleanOptions(
        folds=arguments.folds,
        false_alarms=arguments.false_alarms,
        least_side_px=arguments.least_side_px,
        tree=arguments.tree,
        with_review=arguments.with_review,
        backbone=arguments.backbone,
        weights=arguments.weights,
        from_scratch=arguments.from_scratch,
        overwrite=arguments.overwrite,
        jobs=arguments.jobs,
        settings=settings,
    )
    result = clean(arguments.folder, arguments.output, options)
    on_stdout(summary_text(result.summary, printable(arguments.output)))
    for refusal in result.refusals:
        say(refusal)
    return NOT_GOOD_ENOUGH if result.refusals else 0


def summary_text(summary: Mapping[str, Any], output: str) -> str:
    """Return the counts of the verdicts and the quality of the judgment, a fact per line."""
    from belong.commands.clean.reliability import in_words

    verdicts = summary["verdicts"]
    lines = [f"{counted(summary['images'], 'image')}: {verdicts['keep']:,} to keep"]
    for verdict in ("review", "quarantine"):
        problems = summary["problems"].get(verdict, {})
        counts = ", ".join(f"{n:,} {TERMS.get(name, name)}" for name, n in problems.items())
        lines.append(f"  {verdict} {verdicts[verdict]:,}" + (f": {counts}" if counts else ""))
    lines += in_words(summary["reliability"])
    if "tree" in summary:
        images = counted(summary["tree"]["images"], "image")
        lines.append(f"{output}/cleaned holds {images}")
    return "\n".join(
        [*lines, f"{output}/suspects.html shows the suspects, manifest.csv lists every image"]
    )
