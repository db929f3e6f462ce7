"""The readers of untrusted bytes: for each, valid inputs and a call that reads one."""

import contextlib
import gzip
import hashlib
import io
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from safetensors.numpy import save

from belong.commands.watch import predictions
from belong.data.decode_pool import Decoder
from belong.data.idx import read_idx
from belong.data.image_form import ImageForm
from belong.parameters import Parameters
from belong.prediction.manifest import Manifest
from belong.runtime.errors import InputError
from belong.runtime.storage import load_about, load_arrays
from belong.runtime.typed_yaml import read
from tests.idx_files import idx_bytes, some_images
from tests.imports import ROOT
from tests.small_manifest import a_manifest

FORM = ImageForm(
    channels=3, height=8, width=8, color="rgb", resize="cover", background=(255, 255, 255),
    max_pixels=1_000_000,
)  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Something that reads bytes.

    Attributes:
        seeds: whole inputs.
        reads: whether bytes are read, True, or refused as they should be, False; `path` is a file
            that holds them. Whatever else it raises is a fault.
        inputs: so many are tried in the run that is documented.
    """

    seeds: Callable[[], list[bytes]]
    reads: Callable[[Path], bool]
    inputs: int


def _refuses(call: Callable[[], object]) -> bool:
    with contextlib.suppress(InputError):
        call()
        return True
    return False


# --- IDX -----------------------------------------------------------------------------------------


def _idx_seeds() -> list[bytes]:
    plain = [idx_bytes(some_images(5)), idx_bytes(np.arange(7))]
    return [*plain, *(gzip.compress(content, mtime=0) for content in plain)]


def _reads_idx(path: Path) -> bool:
    if path.read_bytes()[:2] == b"\x1f\x8b":
        path = path.replace(path.with_suffix(".gz"))
    as_images, as_labels = (_refuses(partial(read_idx, path, axes=axes)) for axes in (3, 1))
    return as_images or as_labels


# --- images --------------------------------------------------------------------------------------


def _image_seeds() -> list[bytes]:
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(0, 256, (16, 12, 3), np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (16, 12)).astype(np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    frames = [color, color.rotate(90)]
    variants: list[tuple[Image.Image, str, dict[str, object]]] = [
        (color, "PNG", {}),
        (color.quantize(8), "PNG", {"transparency": 3}),
        (deep, "PNG", {}),
        (color, "JPEG", {"exif": turned}),
        (color, "JPEG", {"progressive": True}),
        (color.convert("CMYK"), "JPEG", {}),
        (color, "BMP", {}),
        (color, "PPM", {}),
        (color, "GIF", {"save_all": True, "append_images": frames}),
        (deep, "TIFF", {}),
        (color, "TIFF", {"compression": "tiff_lzw"}),
        (color.convert("CMYK"), "TIFF", {"compression": "tiff_adobe_deflate"}),
        (color, "WEBP", {}),
        (color.convert("RGBA"), "WEBP", {"lossless": True}),
        (color, "AVIF", {}),
    ]
    seeds = []
    for image, kind, options in variants:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        seeds.append(buffer.getvalue())
    return seeds


def _reads_image(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as `belong.data.decode_pool` does
        answer = Decoder.of(FORM).decode(path)
    if isinstance(answer, str):
        if "\n" in answer or not answer:
            raise ValueError(f"the reason is no line: {answer!r}")
        return False
    pixels = answer.pixels
    if pixels.shape != (3, 8, 8) or pixels.dtype != np.uint8:
        raise ValueError(f"decoded to {pixels.dtype} {pixels.shape}")
    return True


# --- a model -------------------------------------------------------------------------------------


def _manifest_seeds() -> list[bytes]:
    return [a_manifest().text.encode()]


def _reads_manifest(path: Path) -> bool:
    """Read the bytes as they are and, as an attacker would, with a valid checksum."""
    content = path.read_bytes()
    as_it_is = _refuses(lambda: Manifest.parse(content, "manifest.json"))
    try:
        values = json.loads(content)
        values.pop("sha256", None)
        body = json.dumps(values, indent=2, allow_nan=False) + "\n"
        values["sha256"] = hashlib.sha256(body.encode()).hexdigest()
        signed = json.dumps(values, indent=2, allow_nan=False) + "\n"
    except (ValueError, AttributeError, TypeError, RecursionError):
        return as_it_is
    return _refuses(lambda: Manifest.parse(signed.encode(), "manifest.json")) or as_it_is


def _safetensors_seeds() -> list[bytes]:
    arrays: dict[str, np.ndarray] = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b/c": np.arange(3),
    }
    about = json.dumps({"shape": {"classes": 2}})
    return [save(arrays, {"about": about}), save({}), save({"x": np.zeros((0, 3), np.uint8)})]


def _reads_safetensors(path: Path) -> bool:
    read_all = _refuses(lambda: load_arrays(path))
    return _refuses(lambda: load_about(path)) and read_all


# --- text ----------------------------------------------------------------------------------------


def _params_seeds() -> list[bytes]:
    return [(ROOT / "tests" / "data" / "params.yaml").read_bytes()]


def _reads_params(path: Path) -> bool:
    return _refuses(lambda: Parameters.parse(read(path), path))


def _csv_seeds() -> list[bytes]:
    header = "path,class,probability,belongs,p_value,score,nearest_class,distance,detector,reason\n"
    row = '"a,\n.png",cat,0.9,True,0.5,1.5,cat,0.4,energy,like cat\n'
    other = "b.png,dog,0.9,False,0.01,9.5,dog,2.4,energy,not like any class\n"
    return [(header + row + other * 3).encode()]


def _reads_csv(path: Path) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pandas says it so where it takes a column for another
        warnings.simplefilter("ignore", pd.errors.ParserWarning)
        return _refuses(lambda: predictions.read(path))


READERS = {
    "idx": Reader(_idx_seeds, _reads_idx, 25_000),
    "image": Reader(_image_seeds, _reads_image, 45_000),
    "manifest": Reader(_manifest_seeds, _reads_manifest, 12_000),
    "safetensors": Reader(_safetensors_seeds, _reads_safetensors, 15_000),
    "csv": Reader(_csv_seeds, _reads_csv, 10_000),
    "params": Reader(_params_seeds, _reads_params, 1_500),
}
