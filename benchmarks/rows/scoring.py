"""Run `belong score` on a folder of image files, from the command line to the table."""

import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from belong.data.decode_pool import decoded
from belong.prediction.bundle import Bundle
from belong.prediction.predictor import Predictor
from belong.runtime.errors import InputError
from benchmarks import digits
from benchmarks.agreement import labels
from benchmarks.contract import Growth, Limit, Peer, Race, Setting, Work
from benchmarks.photos import decode_all, photo_folder
from benchmarks.stock.network import LeNet
from benchmarks.timing import seconds_of

MODEL = Path("data/bundle")
BATCH = 256
PHOTO_SIDE_PX = 64
FEW = {"train.epochs": 8, "autoencoder.epochs": 1, "detectors.code_iforest.trees": 5}
# Both round: of two classes that are all but equally likely, either may come first.
OTHERS = 0.001


def folder(setting: Setting) -> Race:
    """Score PNG files of digits with the model of the pipeline."""
    n = setting.size(10_000, 60)
    model, files = model_folder(setting), png_folder(setting, n)
    bundle = Bundle.load(model)
    predictor = Predictor(bundle, device=torch.device("cpu"))
    paths = sorted(files.rglob("*.png"))
    images = np.stack([np.asarray(Image.open(path))[None] for path in paths])
    network = LeNet()
    weights = load_file(model / "network.safetensors")
    network.load_state_dict({key: weights[key] for key in network.state_dict()})

    def ours(_: int) -> list[int]:
        return score(files, model, setting.threads)

    def in_memory(_: int) -> list[int]:
        return classes_of([images[at : at + BATCH] for at in range(0, n, BATCH)], predictor)

    def stock(_: int) -> list[int]:
        with tempfile.TemporaryDirectory() as out:
            table = Path(out) / "scores.csv"
            arguments = [
                files,
                model / "network.safetensors",
                model / "training.safetensors",
                table,
            ]
            call("benchmarks.stock.score_folder", *map(str, arguments))
            return classes_in(table)

    def decoding() -> None:
        decode_all(paths, setting.threads)

    @torch.no_grad()
    def network_alone() -> None:
        for batch in torch.from_numpy(images).split(BATCH):
            network(batch.float().div(255))

    return Race(
        what=f"belong score, {n:,} PNG files of 28 px, {bundle.manifest.detector}",
        ours=ours,
        peers={
            "torchvision and pytorch-ood": Peer(stock, labels(OTHERS), package="pytorch_ood"),
            "our model alone, in memory": Peer(in_memory, labels(0.0)),
        },
        limit=Limit(
            f"the slower of decoding ({setting.threads} threads) and the network, alone; no start",
            lambda: max(seconds_of(decoding), seconds_of(network_alone)),
            bar=0.8,
        ),
        parts=parts_of(paths[0], model, setting.threads, decoding, in_memory),
    )


def photos(setting: Setting, *, n: int, width: int, distinct: int) -> Race:
    """Score n JPEG photos, all but the first few of them links, with a model of 64 px.

    Args:
        setting: of the run.
        n: photos; few, if the run is quick.
        width: of each, px.
        distinct: photos that are no links.
    """
    n, distinct = setting.size(n, 24), setting.size(distinct, 12)
    folder = photo_folder(setting.folder / f"photos-{distinct}-{width}", distinct, width=width)
    files = linked(folder, setting.folder / f"links-{n}-{width}", n)
    model = photo_model(setting)
    bundle = Bundle.load(model)
    form, predictor = bundle.manifest.form, Predictor(bundle, device=torch.device("cpu"))
    paths = sorted(files.glob("*.jpg"))
    batches = [paths[at : at + BATCH] for at in range(0, n, BATCH)]
    images = [
        np.stack([answer.pixels for answer in answers if not isinstance(answer, str)])
        for answers in decoded(batches, form, jobs=setting.threads)
    ]

    def ours(_: int) -> list[int]:
        return score(files, model, setting.threads)

    def in_memory(_: int) -> list[int]:
        return classes_of(images, predictor)

    def decoding() -> None:
        decode_all(paths, setting.threads, least_px=least_px)

    # As `belong.data.image_reader.read_image` has JPEGs decoded: at less than their full size.
    least_px = 2 * max(form.height, form.width)
    return Race(
        what=f"belong score, {n:,} JPEG photos, {width} x {width * 3 // 4} to {form.width} px",
        ours=ours,
        peers={"our model alone, in memory": Peer(in_memory, labels(0.0))},
        limit=Limit(
            f"the slower of decoding ({setting.threads} threads, to no less than {least_px} px) "
            f"and the network, alone; no start",
            lambda: max(
                seconds_of(decoding),
                seconds_of(lambda: [predictor.features(answers) for answers in images]),
            ),
            bar=0.8,
        ),
        parts=parts_of(paths[0], model, setting.threads, decoding, in_memory),
    )


def growth(setting: Setting) -> Growth:
    """Score folders of increasing size."""
    model = model_folder(setting)

    def work(n: int) -> Callable[[], Any]:
        files = png_folder(setting, n)
        return lambda: score(files, model, setting.threads)

    sizes = (20, 40, 80) if setting.quick else (1_000, 10_000, 100_000)
    return Growth("belong score, PNG files of 28 px", "n", sizes, work, bar=1.1)


def parts_of(
    file: Path, model: Path, threads: int, decoding: Callable[[], None], in_memory: Work
) -> dict[str, Callable[[], object]]:
    """Return what `belong score` does, as `Race.parts` wants it; `file` is one of the images."""
    return {
        "one image, start included": lambda: score(file, model, threads),
        "decoding alone": decoding,
        "the model alone, in memory": lambda: in_memory(0),
    }


def classes_of(batches: Sequence[np.ndarray], predictor: Predictor) -> list[int]:
    """Score images that are in memory; return the class of each."""
    return [int(label) for batch in batches for label in predictor.score(batch).label]


def score(files: Path, model: Path, threads: int) -> list[int]:
    """Run `belong score`; return the class of each image."""
    with tempfile.TemporaryDirectory() as out:
        arguments = [str(files), "--model", str(model), "--out", out, "--jobs", str(threads)]
        call("belong", "score", *arguments, "--device", "cpu", "--no-gallery")
        return classes_in(Path(out) / "predictions.csv")


def call(module: str, *words: str) -> None:
    """Run a program of the project in a process of its own."""
    process = subprocess.run(  # noqa: S603  (our own modules)
        [sys.executable, "-m", module, *words], capture_output=True, text=True, check=False
    )
    if process.returncode:
        raise InputError(f"{module}: {process.stderr.strip()}")


def classes_in(table: Path) -> list[int]:
    """Return the column `class` as numbers; photos are called class-0 and so on."""
    with table.open(encoding="utf-8", newline="") as file:
        return [int(row["class"].removeprefix("class-")) for row in csv.DictReader(file)]


def png_folder(setting: Setting, n: int) -> Path:
    """Write n digits as files, once; from the 10,001st on they are links to the first."""
    where = setting.folder / f"png-{n}"
    ready = where.with_suffix(".ready")
    if ready.exists():
        return where
    images = digits.read(setting).images[:10_000, 0]
    for number in range(n):
        file = where / f"{number // 1000:03}" / f"{number:06}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.unlink(missing_ok=True)
        first = number % len(images)
        if first == number:
            Image.fromarray(images[number]).save(file)
        else:
            os.link(where / f"{first // 1000:03}" / f"{first:06}.png", file)
    ready.touch()
    return where


def model_folder(setting: Setting) -> Path:
    """Return the pipeline's model; if quick, one of few digits, fitted here once.

    Raises:
        InputError: the pipeline has not run.
    """
    if not setting.quick:
        if not MODEL.is_dir():
            raise InputError(f"{MODEL}: no such folder; `dvc repro` makes it")
        return MODEL
    return fitted(digits.SMALL, setting.folder / "model-small")


def linked(photos: Path, where: Path, n: int) -> Path:
    """Make of the photos in class folders one folder of n links to them, once."""
    where.mkdir(exist_ok=True)
    files = sorted(photos.glob("*/*.jpg"))
    for number in range(n):
        link = where / f"{number:06}.jpg"
        if not link.exists():
            os.link(files[number % len(files)], link)
    return where


def photo_model(setting: Setting) -> Path:
    """Return a model of photos, fitted here once; if quick, of digits: 12 photos fit none."""
    if setting.quick:
        return model_folder(setting)
    photos = photo_folder(setting.folder / "photos-600", 600)
    return fitted(photos, setting.folder / "model-photos", {"images.side_px": PHOTO_SIDE_PX})


def fitted(images: Path, model: Path, settings: Mapping[str, object] | None = None) -> Path:
    """Return a model that was fitted in seconds, once: it need not be good to take its time."""
    from belong.commands.fit.fit import fit

    if not model.is_dir():
        fit(images, model, settings=FEW | dict(settings or {}))
    return model
