"""Export a model to ONNX, from the pixels to the verdict: `belong export MODEL -o FILE`."""

import argparse
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from belong.calibration.sample_size import GUARANTEES, Guarantee
from belong.commands.arguments import epilog, keep_former_name, local_path, share

if TYPE_CHECKING:
    import numpy as np

    from belong.data.image_form import ImageForm
    from belong.prediction.model import ImagePath, Model
    from belong.prediction.onnx.verify import Compared

BATCH = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong export`."""
    parser.epilog = epilog(
        "belong export models/ours -o ours.onnx --verify photos/new",
        exit_codes={
            0: "the graph is written",
            2: "bad input",
            3: "no image of --verify can be read",
            4: "the model is damaged, or the graph differs",
        },
    )
    parser.add_argument("model", type=local_path, metavar="MODEL", help="folder of the model")
    output = parser.add_argument(
        "-o",
        "--output",
        dest="path",
        type=local_path,
        required=True,
        metavar="FILE",
        help="new ONNX file",
    )
    keep_former_name(parser, output, "--onnx")
    parser.add_argument(
        "--verify", type=local_path, metavar="FOLDER",
        help="compare graph and model on these images before writing",
    )  # fmt: skip
    parser.add_argument(
        "--alpha", type=share, metavar="SHARE",
        help="promised false-rejection rate (default: the model's)",
    )  # fmt: skip
    parser.add_argument(
        "--guarantee", choices=GUARANTEES, help="scope of the rate (default: the model's)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the graph, and print the comparison and the size."""
    from belong.runtime.text import on_stdout, printable

    exported = export(
        arguments.model,
        arguments.path,
        verify=arguments.verify,
        alpha=arguments.alpha,
        guarantee=arguments.guarantee,
    )
    if exported.comparison:
        on_stdout(exported.comparison.text)
    on_stdout(f"{printable(arguments.path)}: {exported.bytes / 1e6:.1f} MB")
    return 0


@dataclass(frozen=True)
class ExportedModel:
    """The file that `belong.export` wrote.

    Attributes:
        path: the ONNX graph.
        bytes: size of the file.
        comparison: differences between graph and model on the images of `verify`, or None.
    """

    path: Path
    bytes: int
    comparison: "Compared | None"


def export(
    model: "ImagePath | Model",
    path: "ImagePath",
    *,
    verify: "ImagePath | None" = None,
    alpha: float | None = None,
    guarantee: Guarantee | None = None,
) -> ExportedModel:
    """Export a model to one ONNX graph, from uint8 pixels (n, h, w, ch) to the verdict.

    Args:
        model: the model, or its folder.
        path: a new file for the graph.
        verify: a folder of images, on which model and graph are compared. A graph that differs is
            not written.
        alpha: false-rejection rate; the model's own if None.
        guarantee: scope of alpha, see `Model.predict`; the model's own if None.

    Raises:
        InputError: `path` exists, a folder is missing, the calibration images are too few for
            `alpha`, a detector or the network has no ONNX form, or onnx is not installed.
        TooManyBadFilesError: no image of `verify` can be read.
        IntegrityError: the model is damaged, or the graph differs from the model.

    Example:
        >>> exported = belong.export("model", "model.onnx", verify="photos")
        >>> exported.path.name, exported.comparison.n, exported.comparison.verdicts
        ('model.onnx', 2, 0)
        >>> belong.export("model", "model.onnx")
        Traceback (most recent call last):
        ...
        belong.runtime.errors.InputError: model.onnx: exists; expected the name of a new file
    """
    # Imported here: `--help` does not need them. Slow imports follow the checks of the arguments.
    from belong.prediction.model import Model, load_model
    from belong.prediction.rule_of_model import rule_for
    from belong.prediction.scoring_options import ScoringOptions
    from belong.runtime.arguments import as_path
    from belong.runtime.errors import InputError
    from belong.runtime.storage import whole_file
    from belong.runtime.text import printable

    out = as_path("path", path)
    name = printable(out)
    folder = None if verify is None else as_path("verify", verify)
    if out.exists() or out.is_symlink():
        raise InputError(f"{name}: exists; expected the name of a new file")
    if not out.parent.is_dir():
        raise InputError(f"{printable(out.parent)}: no such folder; expected one for {out.name}")
    loaded_model = model if isinstance(model, Model) else load_model(as_path("model", model))
    bundle = loaded_model.bundle
    options = ScoringOptions(alpha=alpha, guarantee=guarantee)
    rule = rule_for(bundle, options)
    try:
        from belong.prediction.onnx.export import model as onnx_model
        from belong.prediction.onnx.verify import check, compare
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] not in ("onnx", "onnxruntime"):
            raise
        raise InputError(
            f"{error.name} is not installed; run pip install onnx onnxscript onnxruntime"
        ) from None

    # The predictor refuses a model whose arrays do not fit together.
    form = loaded_model.predictor.manifest.form
    comparison = None
    with whole_file(out) as part:
        part.write_bytes(onnx_model(bundle, rule).SerializeToString(deterministic=True))
        if folder is not None:
            comparison = compare(bundle, part, batches(folder, form), rule=rule)
            check(comparison, name)
    return ExportedModel(out, out.stat().st_size, comparison)


def batches(folder: Path, form: "ImageForm") -> "Iterator[np.ndarray]":
    """Yield batches of the readable images of a folder, (n, ch, h, w) uint8.

    Raises:
        TooManyBadFilesError: no image can be read.
    """
    import numpy as np

    from belong.data.decode_pool import decoded
    from belong.data.file_discovery import below
    from belong.data.unreadable import none_readable
    from belong.runtime.errors import InputError
    from belong.runtime.text import printable

    if not folder.is_dir():
        raise InputError(f"{printable(folder)}: no such folder")
    incoming = below(folder, follow_links=True)
    n, reasons = 0, []
    files = [incoming.path(file) for file in incoming.files]
    parts = (files[at : at + BATCH] for at in range(0, len(files), BATCH))
    with closing(decoded(parts, form, jobs=os.cpu_count() or 1)) as batches:
        for batch in batches:
            pixels = [image.pixels for image in batch if not isinstance(image, str)]
            n += len(pixels)
            reasons += [reason for reason in batch if isinstance(reason, str)]
            if pixels:
                yield np.stack(pixels)
    if not n:
        names = [printable(file) for file in incoming.files]
        raise none_readable(folder, [*zip(names, reasons, strict=True), *incoming.shut])
