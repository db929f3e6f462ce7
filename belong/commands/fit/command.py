"""`belong fit FOLDER -o MODEL`: a folder of images for each class in, a model out.

The work is in `belong.commands.fit.fit`, which is imported when it is called.
"""

import argparse
from pathlib import Path

from belong.calibration.sample_size import GUARANTEES
from belong.commands.arguments import add_backbone_arguments, count, share, whole


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.epilog = (
        "after an interruption the same command goes on where it was; .MODEL.work beside the model "
        "keeps what is done until then; exit code: 0 the model is saved, 2 bad input, 3 too many "
        "files cannot be read, 5 the model is saved but does not reach what --require asks for"
    )
    parser.add_argument("folder", type=Path, help="a folder of images for each class in it")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the model, a new folder")
    parser.add_argument("--anomalies", type=Path, help="a folder of images that do not belong")
    parser.add_argument("--alpha", type=share, help="share of images that belong to be rejected")
    parser.add_argument("--guarantee", choices=GUARANTEES,
                        help="what alpha holds for (default: marginal)")  # fmt: skip
    add_backbone_arguments(parser)
    parser.add_argument("--seed", type=whole, help="draws parts and weights")
    parser.add_argument("--threads", type=count, help="to compute with")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), help="to compute on")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                        help="any other key of params.yaml, such as train.epochs=30")  # fmt: skip
    parser.add_argument("--require", action="append", default=[], metavar="KEY=NUMBER",
                        help="least accuracy, auroc; most false_reject, false_accept")  # fmt: skip
    parser.add_argument("--plan", action="store_true", help="say what would be done, and stop")


def run(arguments: argparse.Namespace) -> int:
    """Fit, and say what came out."""
    from belong.commands.fit.settings import given, request_math

    settings = given(arguments)
    request_math(settings)
    from belong.commands.fit.backbone_request import BackboneRequest
    from belong.commands.fit.fit import fit, prepare, tell
    from belong.commands.fit.requirements import check_requirements, requirements

    options = {
        "anomalies": arguments.anomalies,
        "alpha": arguments.alpha,
        "guarantee": arguments.guarantee,
        "settings": settings,
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
