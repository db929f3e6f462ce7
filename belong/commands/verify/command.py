"""`belong verify [FOLDER]`: whether every byte is still what was made.

Exit code 0: all is. 2: there is nothing to compare with. 4: something does not match.
"""

import argparse
from importlib.util import find_spec
from pathlib import Path

DIFFERS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `belong verify` takes."""
    parser.epilog = "exit code: 0 all is as it was made, 2 bad input, 4 something does not match"
    parser.add_argument(
        "folder", type=Path, nargs="?", default=Path(), metavar="FOLDER",
        help="of a pipeline, with its dvc.lock, or of a model (default: the one that you are in)",
    )  # fmt: skip
    parser.add_argument(
        "--whole-cache", action="store_true",
        help="of a pipeline: read all that DVC's cache holds, of other runs too",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Read, and say in a line each what does not match and what mends it."""
    # Not at the top: the help needs none of it.
    from belong.commands.verify import dvc_lock, model, pipeline
    from belong.commands.verify.digests import Finding
    from belong.prediction.manifest import NAME
    from belong.runtime.errors import InputError
    from belong.runtime.text import counted, on_stdout, printable

    folder: Path = arguments.folder
    files, findings = 0, list[Finding]()
    has_model = (folder / NAME).exists()
    if has_model:
        files, findings = model.verify(folder)
    if (folder / dvc_lock.NAME).exists():
        if find_spec("dvc") is None:
            raise InputError(
                "dvc is not installed; pip install dvc configobj vl-convert-python brings it"
            )
        outputs, others = pipeline.verify(folder, whole_cache=arguments.whole_cache)
        files, findings = files + outputs, [*findings, *others]
    elif not has_model:
        raise InputError(
            f"{printable(folder)}: expected the folder of a pipeline, with its {dvc_lock.NAME}, or "
            f"of a model, with its {NAME}"
        )
    for one in findings:
        on_stdout(f"{one.where}: {one.what}; to mend it: {one.mend}")
    wrong = len(findings)
    judged = f"{wrong:,} {'does' if wrong == 1 else 'do'} not match" if wrong else "all match"
    on_stdout(f"{counted(files, 'file')} read; {judged}")
    return DIFFERS if wrong else 0
