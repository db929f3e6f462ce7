"""`belong clean FOLDER -o OUT`: which images of a labelled folder to keep, and why not the others.

The work is in `clean`, which is imported when it is called.
"""

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from belong.commands.arguments import add_backbone_arguments, count, share, whole
from belong.commands.clean.options import FALSE_ALARMS, FOLDS, MOST_FOLDS, CleanOptions
from belong.runtime.exit_codes import NOT_GOOD_ENOUGH
from belong.runtime.text import counted, printable, say


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong clean` takes."""
    parser.epilog = (
        "Nothing in FOLDER is changed or deleted. Verdicts: keep; review: somebody should look; "
        "quarantine: it would do harm. Exit code 3: no image can be read; 5: the images cannot be "
        "judged well enough, so that nothing is said about labels or foreign images."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER",
                        help="a folder of images for each class")  # fmt: skip
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="FOLDER",
                        help="for manifest.csv, suspects.html, summary.json")  # fmt: skip
    tree = parser.add_mutually_exclusive_group()
    tree.add_argument("--link", dest="tree", action="store_const", const="link",
                      help="build OUT/cleaned of links to the images that are kept")  # fmt: skip
    tree.add_argument("--copy", dest="tree", action="store_const", const="copy",
                      help="build it of copies")  # fmt: skip
    parser.add_argument("--with-review", action="store_true",
                        help="and of those to review (default: these are left out)")  # fmt: skip
    parser.add_argument("--false-alarms", type=share, default=FALSE_ALARMS, metavar="SHARE",
                        help="of right images, at most, among those put aside "
                        f"(default: {FALSE_ALARMS})")  # fmt: skip
    parser.add_argument("--least-side", type=count, metavar="PX", help="smaller images are tiny "
                        "(default: a quarter of the median)")  # fmt: skip
    parser.add_argument("--folds", type=partial(count, most=MOST_FOLDS), default=FOLDS,
                        metavar="N", help="parts, each judged by what the others teach "
                        f"(default: {FOLDS})")  # fmt: skip
    add_backbone_arguments(parser)
    parser.add_argument("--seed", type=whole, help="draws folds and weights")
    parser.add_argument("--threads", type=count, help="to compute with")
    parser.add_argument("--jobs", type=count, metavar="N", help="threads that read files")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="to compute on")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="any other key of params.yaml, such as train.epochs=30")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true",
                        help="replace the results of another run in OUT")  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Clean, and say what came out."""
    from belong.commands.clean.class_folders import class_folders
    from belong.commands.fit.settings import given, request_math

    settings = given(arguments)
    class_folders(arguments.folder)  # a wrong one is answered at once
    request_math(settings)
    from belong.commands.clean.clean import clean

    options = CleanOptions(
        folds=arguments.folds,
        false_alarms=arguments.false_alarms,
        least_side_px=arguments.least_side,
        tree=arguments.tree,
        with_review=arguments.with_review,
        backbone=arguments.backbone,
        weights=arguments.weights,
        from_scratch=arguments.from_scratch,
        overwrite=arguments.overwrite,
        jobs=arguments.jobs,
        settings=settings,
    )
    result = clean(arguments.folder, arguments.out, options)
    print(said(result.summary, printable(arguments.out)))  # noqa: T201
    for refusal in result.refusals:
        say(refusal)
    return NOT_GOOD_ENOUGH if result.refusals else 0


def said(summary: Mapping[str, Any], out: str) -> str:
    """Return what came out, in some lines."""
    from belong.commands.clean.sight import in_words

    verdicts = summary["verdicts"]
    lines = [f"{counted(summary['images'], 'image')}: {verdicts['keep']:,} to keep"]
    for verdict in ("review", "quarantine"):
        why = summary["problems"].get(verdict, {})
        named = ", ".join(f"{name} {n:,}" for name, n in why.items())
        lines.append(f"  {verdict} {verdicts[verdict]:,}" + (f": {named}" if named else ""))
    lines += in_words(summary["sight"])
    if "tree" in summary:
        lines.append(f"{out}/cleaned has {summary['tree']['images']:,} of them")
    return "\n".join([*lines, f"{out}/suspects.html shows them, manifest.csv has every image"])
