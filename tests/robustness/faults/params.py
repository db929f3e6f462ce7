"""params.yaml: typing errors, and files that are not YAML."""

from collections.abc import Callable
from pathlib import Path

from tests.imports import ROOT
from tests.robustness.faults.fault import INPUT, OUTPUT, Fault

GOOD = (ROOT / "tests" / "data" / "params.yaml").read_text(encoding="utf-8")


def _text(text: str) -> Callable[[Path, Path], list[str]]:
    def spoil(folder: Path, _model: Path) -> list[str]:
        params = folder / INPUT / "params.yaml"
        params.write_text(text, encoding="utf-8")
        return ["stages.check_params", f"{params}", f"{folder / OUTPUT}"]

    return spoil


def _line(line: str, other: str) -> Callable[[Path, Path], list[str]]:
    if GOOD.count(line) != 1:
        raise ValueError(f"params.yaml has {GOOD.count(line)} times {line!r}")
    return _text(GOOD.replace(line, other))


FAULTS = [
    Fault("misspelled key", _line("\nseed: 0", "\nsede: 0"), "the nearest known key is seed", 2),
    Fault(
        "value of another type", _line("train:\n  epochs: 3", "train:\n  epochs: many"),
        "train.epochs: expected a valid integer, got 'many'", 2,
    ),
    Fault(
        "value out of range", _line("lambda: 1.0", "lambda: -1.0"),
        "lambda: expected greater than or equal to 0, got -1.0", 2,
    ),
    Fault(
        "number as DVC writes it", _line("lambda: 1.0", "lambda: 1e-05"), "valid", where=OUTPUT
    ),
    Fault("empty params.yaml", _text(""), "expected `key: value` lines, got nothing", 2),
    Fault("params.yaml that is not YAML", _text("seed: [0"), "not valid YAML in line 1", 2),
    Fault("duplicate key", _text(f"{GOOD}\nseed: 1\n"), 'duplicate key "seed"', 2),
]  # fmt: skip
