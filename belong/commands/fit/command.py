"""Parse `belong fit FOLDER -o MODEL`: train a model on one folder of images per class."""

import argparse

from belong.calibration.sample_size import CALIBRATIONS, GUARANTEES
from belong.commands.arguments import (
    add_backbone_arguments,
    add_setting_arguments,
    epilog,
    local_path,
    share,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong fit`."""
    parser.epilog = epilog(
        "belong fit photos/train -o models/ours --anomalies photos/odd",
        notes=(
            "After an interruption, run the same command to resume.\n"
            "Progress is kept in .MODEL.work beside the model."
        ),
        exit_codes={
            0: "the model is saved",
            2: "bad input",
            3: "too many files cannot be read",
            5: "the model is saved, but misses a requirement",
        },
    )
    parser.add_argument("folder", type=local_path, metavar="FOLDER",
                        help="one subfolder per class, or images of one class")  # fmt: skip
    parser.add_argument("-o", "--output", type=local_path, required=True, metavar="MODEL",
                        help="new folder for the model")  # fmt: skip
    parser.add_argument("--anomalies", type=local_path, metavar="FOLDER",
                        help="images that do not belong")  # fmt: skip
    parser.add_argument("--alpha", type=share, metavar="SHARE",
                        help="promised false-rejection rate (default: 0.025)")  # fmt: skip
    parser.add_argument("--calibration", choices=CALIBRATIONS, default="auto",
                        help="split, cross (few images) or auto (default)")  # fmt: skip
    parser.add_argument("--guarantee", choices=GUARANTEES,
                        help="scope of the rate (default: marginal)")  # fmt: skip
    add_backbone_arguments(parser)
    add_setting_arguments(parser)
    parser.add_argument("--require", action="append", default=[], metavar="KEY=NUMBER",
                        help="minimum accuracy or auroc; "
                        "maximum false_reject or false_accept")  # fmt: skip
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")


def run(arguments: argparse.Namespace) -> int:
    """Fit the model, or print the plan."""
    from belong.commands.fit.settings import command_line_settings, request_math

    settings = command_line_settings(arguments)
    request_math(settings)
    from belong.commands.fit.backbone_request import BackboneRequest
    from belong.commands.fit.fit import fit, prepare, tell
    from belong.commands.fit.requirements import check_requirements, requirements

    options = {
        "anomalies": arguments.anomalies,
        "alpha": arguments.alpha,
        "guarantee": arguments.guarantee,
        "settings": settings,
        "calibration": arguments.calibration,
    }
    of_backbone = {
        "backbone": arguments.backbone,
        "weights": arguments.weights,
        "from_scratch": arguments.from_scratch,
    }
    require = requirements(arguments.require)
    if arguments.plan:
        check_requirements(require, has_anomalies=arguments.anomalies is not None)
        tell(prepare(arguments.folder, request=BackboneRequest(**of_backbone), **options))
    else:
        fit(arguments.folder, arguments.output, **of_backbone, **options, require=require)
    return 0
