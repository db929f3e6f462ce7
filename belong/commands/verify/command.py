"""Parse `belong verify [FOLDER]`: compare every file with its recorded checksum."""

import argparse
from importlib.util import find_spec
from pathlib import Path

from belong.commands.arguments import epilog, local_path

DIFFERS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong verify`."""
    parser.epilog = epilog(
        "belong verify models/ours",
        exit_codes={0: "all files match", 2: "bad input", 4: "a file does not match"},
    )
    parser.add_argument(
        "folder", type=local_path, nargs="?", default=Path(), metavar="FOLDER",
        help="model, or pipeline with dvc.lock (default: current folder)",
    )  # fmt: skip
    parser.add_argument(
        "--whole-cache", action="store_true",
        help="also read other runs' files in DVC's cache",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Compare the files, and print a line for each mismatch and its repair."""
    # Imported here: `--help` does not need them.
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
                "dvc is not installed; run pip install dvc configobj vl-convert-python"
            )
        outputs, output_findings = pipeline.verify(folder, whole_cache=arguments.whole_cache)
        files, findings = files + outputs, [*findings, *output_findings]
    elif not has_model:
        raise InputError(
            f"{printable(folder)}: expected the folder of a pipeline, with {dvc_lock.NAME}, or "
            f"of a model, with {NAME}"
        )
    for one in findings:
        on_stdout(f"{one.where}: {one.what}; to repair it: {one.mend}")
    wrong = len(findings)
    result = f"{wrong:,} {'does' if wrong == 1 else 'do'} not match" if wrong else "all match"
    on_stdout(f"{counted(files, 'file')} read; {result}")
    return DIFFERS if wrong else 0
