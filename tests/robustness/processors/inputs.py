"""The inputs of all processors: small data sets, photos, and their parameters."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pillow_heif import register_heif_opener
from ruamel.yaml import YAML

from belong.data.idx import read
from tests.idx_files import write_folder
from tests.imports import ROOT

DATA = ROOT / "tests" / "data"
# The classes, and their images for training and for tests: enough for every detector.
CLASSES, TRAIN, TEST = 3, 320, 90
IMAGES = 2 * (TRAIN + TEST)
PHOTOS: dict[str, dict[str, Any]] = {
    "a.jpg": {"quality": 90},
    "b.jpg": {"quality": 75, "subsampling": "4:2:0", "progressive": True},
    "c.png": {},
    "d.webp": {"quality": 80},
    "e.heic": {"quality": 80},
}


def make_inputs(folder: Path) -> None:
    """Write params.yaml, the data sets `digits` and `clothes`, and a few photos into `folder`."""
    for name, source in (("digits", "mnist-small"), ("clothes", "fashion-mnist-small")):
        data = read(DATA / source)
        is_chosen = data.labels < CLASSES
        parts = [np.flatnonzero(is_chosen & (data.is_test == is_test)) for is_test in (False, True)]
        rows = [array[:n] for array, n in zip(parts, (TRAIN, TEST), strict=True)]
        write_folder(
            folder / name,
            train_images=data.images[rows[0], 0],
            train_labels=data.labels[rows[0]].tolist(),
            test_images=data.images[rows[1], 0],
            test_labels=data.labels[rows[1]].tolist(),
        )
    _write_params(folder / "params.yaml")
    (folder / "photos").mkdir()
    register_heif_opener()
    for number, (name, options) in enumerate(PHOTOS.items()):
        coarse = np.random.default_rng(number).integers(0, 256, (8, 12, 3), np.uint8)
        photo = Image.fromarray(coarse).resize((601, 403), Image.Resampling.BICUBIC)
        photo.save(folder / "photos" / name, **options)


def _write_params(path: Path) -> None:
    yaml = YAML()
    params = yaml.load(DATA / "params.yaml")
    params["normal"]["path"] = "digits"
    params["anomaly"]["path"] = params["unseen"]["path"] = "clothes"
    for trained in ("train", "head", "autoencoder"):
        params[trained]["epochs"] = 1
    params["train"]["batch_size"] = 8
    params["split"] |= {"calibration_fraction": 0.3, "further_images": 40}
    params["derive"]["images"] = 40
    params["detectors"]["code_iforest"] |= {"trees": 20, "sample": 64}
    params["evaluate"]["resamples"] = 20
    params["promise"]["splits"] = 5
    params["bundle"]["training_images"] = 20
    yaml.dump(params, path)
