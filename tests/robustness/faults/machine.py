"""The machine around: its language, its clock, a home that cannot be written, a terminal."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np

from belong.runtime.process_lock import one_writer
from tests.imports import ROOT
from tests.photo_folders import write_images
from tests.predictions import predictions, write_predictions
from tests.privileges import as_any_user
from tests.robustness.faults.fault import INPUT, OUTPUT, Fault
from tests.robustness.faults.images import PNG
from tests.robustness.faults.images import score as score_words

YEARS = {"1970.png": 0, "2100.png": 4_102_444_800}


def _other_letters(folder: Path, _model: Path) -> list[str]:
    """Check classes whose names are no ASCII, and one that Turkish rules would write otherwise."""
    names = [f"{name}/{i}.png" for name in ("caf\u00e9", "IRIS") for i in range(4)]
    write_images(folder / INPUT, *names)
    return ["belong", "check", f"{folder / INPUT}"]


def _a_card(folder: Path, model: Path) -> list[str]:
    model_folder = folder / INPUT / "caf\u00e9"
    shutil.copytree(model, model_folder)
    return ["belong", "info", f"{model_folder}"]


def _times(folder: Path, model: Path) -> list[str]:
    for name, seconds in YEARS.items():
        (folder / INPUT / name).write_bytes(PNG)
        os.utime(folder / INPUT / name, (seconds, seconds))
    return score_words(folder, model, "--no-gallery")


def _gallery_drawing(folder: Path, _model: Path) -> list[str]:
    """Watch a stream and draw it: Matplotlib stores files in the home folder."""
    stream = predictions(np.arange(200) % 20 == 0, ["ant", "bee"])
    path = write_predictions(folder / INPUT / "predictions.csv", stream)
    promise = ["--alpha", "0.05", "--calibration-images", "999"]
    return ["belong", "watch", f"{path}", *promise, "-o", f"{folder / OUTPUT}"]


def _packed(folder: Path, _model: Path) -> list[str]:
    params = folder / INPUT / "params.yaml"
    shutil.copy(ROOT / "tests" / "data" / "params.yaml", params)
    names = ("pack.csv", "unreadable.csv", "ignored.csv", "pack.safetensors")
    return ["stages.pack", f"{params}", *(f"{folder / OUTPUT / name}" for name in names)]


def _read_only(folder: Path, model: Path) -> list[str]:
    (folder / INPUT / "a.png").write_bytes(PNG)
    (folder / OUTPUT).mkdir(mode=0o555)
    return score_words(folder, model, "--no-gallery")


def _model_where_nobody_may_write(folder: Path, _model: Path) -> list[str]:
    (folder / OUTPUT).mkdir(mode=0o555)
    digits = ROOT / "tests" / "data" / "mnist-small"
    return ["belong", "fit", f"{digits}", "-o", f"{folder / OUTPUT / 'model'}"]


def _two_images(folder: Path, model: Path) -> list[str]:
    for name in ("a.png", "b.png"):
        (folder / INPUT / name).write_bytes(PNG)
    return score_words(folder, model, "--no-gallery")


@contextmanager
def _another_run(folder: Path) -> Iterator[None]:
    """Write into the same folder for a second."""

    def write() -> None:
        with one_writer(folder / OUTPUT / "predictions.csv", print):
            is_started.set()
            time.sleep(1)

    is_started, other = threading.Event(), threading.Thread(target=write)
    other.start()
    is_started.wait()
    yield
    other.join()


def _stopped_in(seconds: float) -> Callable[[Path], AbstractContextManager[object]]:
    return lambda _folder: patch("time.time", return_value=seconds)


FAULTS = [
    Fault("disk full", _packed, "File too large", 2, most_bytes=100_000),
    Fault("LC_ALL=C", _other_letters, "caf\u00e9", 1, environment={"LC_ALL": "C"}),
    Fault("LC_ALL=tr_TR.UTF-8", _other_letters, "IRIS", 1, environment={"LC_ALL": "tr_TR.UTF-8"}),
    Fault(
        "terminal that knows ASCII only", _a_card, "caf\\xe9",
        environment={"PYTHONIOENCODING": "ascii"},
    ),
    Fault(
        "files of 1970 and of 2100", _times, '"images": 2', where=f"{OUTPUT}/summary.json",
    ),
    *(
        Fault(
            f"clock set to {year.removesuffix('.png')}", _two_images, '"images": 2',
            where=f"{OUTPUT}/summary.json", around=_stopped_in(seconds),
        )
        for year, seconds in YEARS.items()
    ),
    Fault(
        "read-only output", _read_only, "output/.predictions.csv.lock: Permission denied", 2,
        before=as_any_user,
    ),
    Fault(
        "read-only output of a training", _model_where_nobody_may_write,
        "output/.model.lock: Permission denied", 2, before=as_any_user,
    ),
    Fault(
        "two runs at once into one folder", _two_images,
        "predictions.csv: waiting for process ", around=_another_run,
    ),
    Fault(
        "home that cannot be written",
        _gallery_drawing,
        "No alarm: the rate is within its expected range.",
        environment={"HOME": "/proc/none"},
    ),
]  # fmt: skip
