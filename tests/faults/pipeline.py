"""The outputs of the pipeline, DVC's cache and dvc.lock, altered behind DVC's back."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.fault import INPUT, Fault
from tests.small_pipeline import FILES, cached, make_pipeline

MODEL = FILES["data/model.bin"]


def _verified(change: Callable[[Path], object]) -> Callable[[Path, Path], list[str]]:
    def spoil(folder: Path, _model: Path) -> list[str]:
        root = make_pipeline(folder / INPUT)
        change(root)
        return ["belong", "verify", f"{root}"]

    return spoil


FAULTS = [
    Fault(
        "output of the pipeline altered",
        _verified(lambda root: (root / "data" / "model.bin").write_bytes(b"weighty")),
        "train: data/model.bin: is altered; to mend it: ", 4,
    ),
    Fault(
        "file of DVC's cache altered",
        _verified(lambda root: cached(root, MODEL).write_bytes(b"weighty")),
        "train: data/model.bin: what DVC's cache keeps of it is altered; to mend it: ", 4,
    ),
    Fault(
        "output lost", _verified(lambda root: (root / "data" / "model.bin").unlink()),
        "train: data/model.bin: is missing; to mend it: ", 4,
    ),
    Fault(
        "dvc.lock cut off", _verified(lambda root: (root / "dvc.lock").write_text("a: [")),
        "dvc.lock: it is cut off or altered: not valid YAML; `git restore ", 4,
    ),
    Fault("no git repository", _verified(lambda _: None), "all match"),
]  # fmt: skip
