"""Parse `belong evaluate TRAIN TEST ANOMALIES ...`: compare detectors on any network's vectors."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from belong.commands.arguments import MOST_ROWS, count, epilog, local_path, share, whole

if TYPE_CHECKING:
    from belong.commands.evaluate.panel import Panel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `belong evaluate`."""
    parser.epilog = epilog(
        "belong evaluate train.npz test.npz odd.npz -o build/evaluation",
        notes=(
            "files: .npy (features), .npz, .safetensors, or a folder of .npy\n"
            "arrays: features, logits, hidden, maps, labels, weight, bias"
        ),
        exit_codes={0: "done", 2: "bad input", 4: "the saved panel is damaged"},
    )
    parser.add_argument(
        "train", metavar="TRAIN", help="normal training rows, or a saved panel's folder"
    )
    parser.add_argument("test", metavar="TEST", help="normal rows that were not used in training")
    parser.add_argument(
        "anomalies", nargs="+", metavar="ANOMALIES", help="sets of anomalies, as FILE or NAME=FILE"
    )
    parser.add_argument("--labels", metavar="FILE", help="labels of the training rows")
    parser.add_argument("--weight", metavar="FILE", help="weight (c, d) of the last layer")
    parser.add_argument("--bias", metavar="FILE", help="bias (c,) of the last layer")
    parser.add_argument(
        "--calibration", metavar="FILE",
        help="normal rows that set the thresholds (default: half of TEST)",
    )  # fmt: skip
    parser.add_argument(
        "--detectors", metavar="NAMES", help="comma-separated detector names (default: all)"
    )
    parser.add_argument(
        "--alpha", type=share, default=0.025, metavar="SHARE",
        help="promised false-rejection rate (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--most-rows", type=count, default=MOST_ROWS, metavar="N",
        help=f"maximum training rows, drawn at random (default: {MOST_ROWS:,})",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=whole, default=0, metavar="N", help="random seed (default: %(default)s)"
    )
    parser.add_argument(
        "--verdicts", action=argparse.BooleanOptionalAction,
        help="write verdicts.csv (default: up to 20 million verdicts)",
    )  # fmt: skip
    parser.add_argument(
        "--save-panel", type=local_path, metavar="FOLDER", help="new folder for the fitted panel"
    )
    parser.add_argument(
        "-o", "--output", type=local_path, required=True, metavar="FOLDER",
        help="new folder for scoreboard.csv, summary.json, report.html, verdicts.csv",
    )  # fmt: skip


def run(arguments: argparse.Namespace) -> int:
    """Evaluate the detectors, and print the scoreboard."""
    # Imported here: `--help` does not need them.
    from belong.commands.evaluate.evaluate import evaluate
    from belong.commands.evaluate.results import check_free, run_of, save
    from belong.runtime.text import on_stderr, on_stdout, printable

    output, new_panel, marker = arguments.output, arguments.save_panel, run_of(vars(arguments))
    check_free(output, new_panel, marker)
    panel = saved_panel(arguments)
    result = evaluate(
        arguments.train if panel is None else panel,
        arguments.test,
        sets(arguments.anomalies),
        labels=arguments.labels,
        weight=arguments.weight,
        bias=arguments.bias,
        calibration=arguments.calibration,
        detectors=names(arguments.detectors),
        alpha=arguments.alpha,
        most_rows=arguments.most_rows,
        seed=arguments.seed,
    )
    save(result, output, new_panel, marker, verdicts=arguments.verdicts)
    for remark in result.remarks:
        on_stderr(f"belong evaluate: {remark}")
    on_stdout(result.table)
    on_stdout(f"{printable(output)}/report.html has the report")
    return 0


def saved_panel(arguments: argparse.Namespace) -> "Panel | None":
    """Return the saved panel that TRAIN names, or None if TRAIN names training rows."""
    from belong.commands.evaluate.panel import load_panel
    from belong.commands.evaluate.panel_file import MANIFEST
    from belong.runtime.errors import InputError

    if not (Path(arguments.train) / MANIFEST).is_file():
        return None
    for option in ("labels", "weight", "bias", "detectors", "save_panel"):
        if getattr(arguments, option) is not None:
            words = option.replace("_", "-")
            raise InputError(f"--{words}: not allowed with a saved panel as TRAIN")
    return load_panel(arguments.train)


def names(text: str | None) -> list[str] | None:
    """Split a comma-separated list of detector names."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def sets(words: list[str]) -> dict[str, str]:
    """Return name -> file of the sets of anomalies; the default name is the file's stem.

    Raises:
        InputError: two sets have the same name.
    """
    from belong.runtime.errors import InputError

    files: dict[str, str] = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or Path(word).exists():
            name, file = Path(word).stem, word
        if name in files:
            raise InputError(f"anomalies: expected different names, got {name!r} twice")
        files[name] = file
    return files
