"""Models and weights: damaged, altered, or vouched for by a manifest and yet of another kind."""

import hashlib
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import load, save

from belong.prediction.manifest import NAME, Manifest, StoredFile
from belong.runtime.storage import save_text
from tests.imports import ROOT
from tests.robustness.faults.fault import INPUT, OUTPUT, Fault
from tests.robustness.faults.images import PNG
from tests.robustness.faults.images import score as score_words

NETWORK = "network.safetensors"


def _scored_by(change: Callable[[Path], object]) -> Callable[[Path, Path], list[str]]:
    """Return a function that scores an image with a changed copy of the model."""

    def spoil(folder: Path, model: Path) -> list[str]:
        shutil.copytree(model, folder / "model")
        (folder / INPUT / "a.png").write_bytes(PNG)
        change(folder / "model")
        return score_words(folder, folder / "model")

    return spoil


def _verified(change: Callable[[Path], object]) -> Callable[[Path, Path], list[str]]:
    def spoil(folder: Path, model: Path) -> list[str]:
        shutil.copytree(model, folder / "model")
        change(folder / "model")
        return ["belong", "verify", f"{folder / 'model'}"]

    return spoil


def _cut_off(model: Path) -> None:
    (model / NETWORK).write_bytes((model / NETWORK).read_bytes()[:-100])


def _one_bit(model: Path) -> None:
    content = bytearray((model / NETWORK).read_bytes())
    content[-5] ^= 1
    (model / NETWORK).write_bytes(content)


def _vouched(content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a function that replaces the network and updates the checksums of the manifest."""

    def change(model: Path) -> None:
        new = content((model / NETWORK).read_bytes())
        (model / NETWORK).write_bytes(new)
        stored_file = StoredFile(sha256=hashlib.sha256(new).hexdigest(), bytes=len(new))
        manifest = _manifest(model)
        files = manifest.files | {NETWORK: stored_file}
        save_text(model / NAME, manifest.model_copy(update={"files": files}).text)

    return change


def _saying(**changes: object) -> Callable[[Path], None]:
    """Return a function that changes facts of a manifest and keeps its checksum valid."""

    def change(model: Path) -> None:
        save_text(model / NAME, _manifest(model).model_copy(update=changes).text)

    return change


def _of_three_classes(model: Path) -> None:
    _saying(shape=_manifest(model).shape | {"classes": 3})(model)


def _manifest(model: Path) -> Manifest:
    return Manifest.parse((model / NAME).read_bytes(), NAME)


def _of_another_network(content: bytes) -> bytes:
    return save({f"other.{name}": array for name, array in load(content).items()})


def _huge_header(content: bytes) -> bytes:
    return struct.pack("<Q", 2**62) + content[8:]


def _weights(content: bytes) -> Callable[[Path, Path], list[str]]:
    """Return a function that starts a training from a file of weights."""

    def spoil(folder: Path, _model: Path) -> list[str]:
        (folder / INPUT / "weights.safetensors").write_bytes(content)
        text = (ROOT / "tests" / "data" / "params.yaml").read_text(encoding="utf-8")
        weights = f"weights: {folder / INPUT / 'weights.safetensors'}"
        text = text.replace("network: lenet", "network: efficientnet_b0")
        params = folder / INPUT / "params.yaml"
        params.write_text(text.replace("weights: none", weights), encoding="utf-8")
        return ["stages.backbone", f"{params}", f"{folder / OUTPUT}"]

    return spoil


PICKLE = pickle.dumps({"weight": [1.0]})
NO_MODEL = "the model does not fit together"
NOT_ARRAYS = "network.safetensors: cannot be read as safetensors: "
FAULTS = [
    Fault("model cut off", _scored_by(_cut_off), " bytes, got ", 4),
    Fault("model with one bit flipped", _scored_by(_one_bit), "network.safetensors: is altered", 4),
    Fault("the same, asked for", _verified(_one_bit), "network.safetensors: is altered", 4),
    Fault("weights with a huge header", _scored_by(_vouched(_huge_header)), NOT_ARRAYS, 4),
    Fault(
        "pickle under the name of weights",
        _scored_by(_vouched(lambda _: PICKLE)), NOT_ARRAYS, 4,
    ),
    Fault(
        "weights of another network", _scored_by(_vouched(_of_another_network)), NO_MODEL, 4
    ),
    Fault(
        "model of another number of classes", _scored_by(_of_three_classes),
        NO_MODEL, 4,
    ),
    Fault(
        "name in a manifest that leaves the folder",
        _scored_by(_saying(files={"../x.safetensors": StoredFile(sha256="0" * 64, bytes=0)})),
        "should match pattern", 4,
    ),
    Fault(
        "weights to start from, cut off", _weights(save({"x": np.zeros(9)})[:-1]),
        "cannot be read as safetensors", 2,
    ),
    Fault(
        "pickle under the name of weights to start from", _weights(PICKLE),
        "cannot be read as safetensors", 2,
    ),
    Fault(
        "weights to start from, with a huge header",
        _weights(_huge_header(save({"x": np.zeros(9)}))), "cannot be read as safetensors", 2,
    ),
    Fault(
        "weights to start from, of another network", _weights(save({"x": np.zeros(9)})),
        "not the weights of efficientnet_b0: 308 of 309 arrays are missing", 2,
    ),
]  # fmt: skip
