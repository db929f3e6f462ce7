"""`belong export MODEL --onnx FILE`: a model as one ONNX graph, from the pixels to the verdict.

Exit code 0: it is written. 2: bad input. 4: the model is damaged, or with `--verify` the graph says
something else than the model.
"""

import argparse
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from belong.data.image_form import ImageForm

BATCH = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong export` takes."""
    parser.add_argument("model", type=Path, metavar="MODEL", help="the model, such as data/bundle")
    parser.add_argument(
        "--onnx", type=Path, required=True, metavar="FILE", help="the graph to write, a new file"
    )
    parser.add_argument(
        "--verify", type=Path, metavar="FOLDER",
        help="run both on the images in it, and write no graph that says something else",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Write the graph, and say how it compares."""
    # Not at the top: the help needs none of it. The input is looked at first.
    from belong.prediction.bundle import Bundle
    from belong.runtime.errors import InputError
    from belong.runtime.storage import whole_file
    from belong.runtime.text import printable

    out, name = arguments.onnx, printable(arguments.onnx)
    if out.exists() or out.is_symlink():
        raise InputError(f"{name}: exists; wanted the name of a new file")
    if not out.parent.is_dir():
        raise InputError(f"{printable(out.parent)}: no such folder; {out.name} was to go there")
    bundle = Bundle.load(arguments.model)
    try:
        from belong.prediction.onnx.export import model
        from belong.prediction.onnx.verify import check, compare
    except ModuleNotFoundError as error:
        if str(error.name).split(".")[0] not in ("onnx", "onnxruntime"):
            raise
        raise InputError(
            f"{error.name} is not installed; pip install 'belong[onnx]' brings it"
        ) from None

    with whole_file(out) as part:
        part.write_bytes(model(bundle).SerializeToString(deterministic=True))
        if arguments.verify:
            images = batches(arguments.verify, bundle.manifest.form)
            compared = compare(bundle, part, images)
            check(compared, name)
            print(compared.text)  # noqa: T201
    print(f"{name}: {out.stat().st_size / 1e6:.1f} MB")  # noqa: T201
    return 0


def batches(folder: Path, form: "ImageForm") -> "Iterator[np.ndarray]":
    """Yield the images of a folder that can be read, (n, ch, h, w) uint8.

    Raises:
        InputError: there is none.
    """
    import numpy as np

    from belong.data.decode_pool import decoded
    from belong.data.file_discovery import below
    from belong.runtime.errors import InputError
    from belong.runtime.text import printable

    if not folder.is_dir():
        raise InputError(f"{printable(folder)}: no such folder")
    found, n = below(folder), 0
    files = [found.path(file) for file in found.files]
    parts = (files[at : at + BATCH] for at in range(0, len(files), BATCH))
    with closing(decoded(parts, form, jobs=os.cpu_count() or 1)) as images:
        for some in images:
            read = [said.pixels for said in some if not isinstance(said, str)]
            n += len(read)
            if read:
                yield np.stack(read)
    if not n:
        raise InputError(f"{printable(folder)}: no image in it can be read")
