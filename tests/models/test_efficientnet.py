"""EfficientNet-B0: torchvision's own values, whole or frozen, and what it refuses."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from ruamel.yaml import YAML
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.models import EfficientNet, EfficientNet_B0_Weights, efficientnet_b0, mobilenet_v2
from torchvision.transforms import v2

from belong.models.efficientnet import Backbone, EfficientNetB0
from belong.models.feature_extraction import embed
from belong.models.frozen_backbone import FrozenEfficientNetB0
from belong.models.pretrained import from_file, imagenet
from belong.models.train_classifier import TrainingOptions, train_classifier
from belong.models.training_loop import Row
from belong.runtime.errors import InputError
from belong.runtime.storage import load_about, load_arrays, save_arrays
from stages import backbone, derive, extract, train, train_autoencoder
from stages import embed as embed_stage
from tests.imports import ROOT

CPU = torch.device("cpu")
PARAMS = (ROOT / "tests" / "data" / "params.yaml").read_text(encoding="utf-8")


def photos(
    n: int, *, channels: int = 3, height: int = 40, width: int = 64, seed: int = 3
) -> Tensor:
    """Return n images of noise, each with a grain, a contrast and a colour of its own."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for grain in torch.randint(1, 20, (n,), generator=generator).tolist():
        coarse = torch.rand(1, channels, grain, grain, generator=generator)
        contrast, colour = torch.rand(2, channels, 1, 1, generator=generator)
        made.append(F.interpolate(coarse, (height, width)) * contrast + colour * (1 - contrast))
    return (torch.cat(made) * 255).to(torch.uint8)


@pytest.fixture(scope="module")
def theirs() -> EfficientNet:
    """Return torchvision's network; its batch normalization knows the spread of a few images."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = efficientnet_b0(stochastic_depth_prob=0)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 1.0
    network.train()(preprocessed(photos(40, seed=1)))
    return network.eval()


def preprocessed(images: Tensor) -> Tensor:
    """Prepare images as torchvision says for its weights, but for the change of size."""
    known = EfficientNet_B0_Weights.IMAGENET1K_V1.transforms()
    as_floats = v2.ToDtype(torch.float32, scale=True)(images)
    standardized: Tensor = v2.Normalize(known.mean, known.std)(as_floats)
    return standardized


@pytest.fixture(scope="module")
def weights(theirs: EfficientNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with all of torchvision's arrays, the classifier's too."""
    path = tmp_path_factory.mktemp("weights") / "photos.safetensors"
    save_file(theirs.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def trunk(weights: Path) -> Backbone:
    return Backbone().loaded(from_file(weights)).eval()


@torch.no_grad()
def vectors_of(backbone: Backbone, images: Tensor) -> Tensor:
    return backbone.vectors(images)


def untrained(images: Tensor, *, classes: int = 2, seed: int = 0) -> EfficientNetB0:
    network = EfficientNetB0.for_images(images, classes=classes)
    network.initialize(images, torch.Generator().manual_seed(seed))
    return network


def trained(
    network: EfficientNetB0 | FrozenEfficientNetB0,
    inputs: Tensor,
    labels: Tensor,
    *,
    seed: int = 0,
    epochs: int = 1,
    batch_size: int = 4,
    shift_px: int = 0,
    flip: bool = False,
) -> list[Row]:
    return train_classifier(
        network,
        inputs,
        labels,
        (inputs, labels),
        options=TrainingOptions(
            lambda_=0.1,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=0.02,
            momentum=0.9,
            weight_decay=0.0005,
            center_rate=0.5,
            shift_px=shift_px,
            flip=flip,
            embedding=7,
        ),
        generator=torch.Generator().manual_seed(seed),
    )


def bytes_of(network: EfficientNetB0 | FrozenEfficientNetB0) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in network.arrays().items()}


@torch.no_grad()
def test_the_logits_are_those_of_torchvisions_own_network_with_the_same_weights(
    theirs: EfficientNet, weights: Path
) -> None:
    images = photos(6)
    ours = EfficientNetB0(classes=1000)
    ours.start_from(from_file(weights))
    ours.classifier.load_state_dict(theirs.classifier[1].state_dict())
    ours.eval()
    logits = theirs(preprocessed(images))
    assert logits.std(dim=0).mean() > 1e-3  # the images differ
    assert_close(ours(images)[1], logits, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_layers_are_the_averaged_channels_of_torchvisions_stages(
    theirs: EfficientNet, trunk: Backbone
) -> None:
    images, seen = photos(3), []
    x = preprocessed(images)
    for stage, blocks in enumerate(theirs.features):
        x = blocks(x)
        if stage in (2, 5, 8):
            seen.append(x.flatten(2).mean(dim=2))
    assert [values.shape for values in seen] == [(3, 24), (3, 112), (3, 1280)]
    assert_close(vectors_of(trunk, images), torch.cat(seen, dim=1), rtol=1e-3, atol=1e-4)


def test_a_grey_image_is_seen_as_the_same_image_in_three_equal_colours(trunk: Backbone) -> None:
    grey = photos(3, channels=1)
    assert_close(vectors_of(trunk, grey), vectors_of(trunk, grey.expand(-1, 3, -1, -1)))


def test_folding_the_batch_normalization_changes_no_value(trunk: Backbone) -> None:
    images = photos(6)
    folded = trunk.folded()
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert_close(vectors_of(folded, images), vectors_of(trunk, images), rtol=1e-3, atol=1e-4)


def test_the_vectors_of_an_image_do_not_depend_on_the_batch_it_is_in(trunk: Backbone) -> None:
    images = photos(21)  # a whole batch and a rest
    one_by_one = torch.cat([embed(trunk, image[None], device=CPU) for image in images])
    assert_close(embed(trunk, images, device=CPU), one_by_one, rtol=1e-3, atol=1e-4)


def test_a_part_without_images_has_no_vectors(trunk: Backbone) -> None:
    assert embed(trunk, photos(1)[:0], device=CPU).shape == (0, 24 + 112 + 1280)


def test_drawn_weights_spread_as_torchs_and_torchvisions_do() -> None:
    network = untrained(photos(1), classes=400)
    # He et al. by fan out: the first convolution passes each value on to 32 x 3 x 3.
    assert network.features[0][0].weight.std().item() == pytest.approx((2 / 288) ** 0.5, rel=0.1)
    bound = 1 / 1280**0.5
    assert 0.99 * bound < network.classifier.weight.abs().max().item() <= bound


def test_building_and_training_leave_torchs_own_generator_where_it_was() -> None:
    images = photos(8)
    before = torch.random.get_rng_state()
    trained(untrained(images), images, torch.arange(8) % 2)
    # nn.Linear draws the classifier's weights before ours replace them
    state = torch.random.get_rng_state()
    torch.random.set_rng_state(before)
    nn.Linear(1280, 2)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.fixture(scope="module")
def trained_twice() -> list[tuple[EfficientNetB0, list[Row]]]:
    """Train twice from the same seed, torch's own generator being elsewhere each time."""
    images, made = photos(10), []
    for elsewhere in (5, 6):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(elsewhere)
            network = untrained(images)
            labels = torch.arange(10) % 2
            made.append((network, trained(network, images, labels, shift_px=4, flip=True)))
    return made


def test_equal_seeds_give_equal_bytes_with_dropout_and_stochastic_depth_and_moved_images(
    trained_twice: list[tuple[EfficientNetB0, list[Row]]],
) -> None:
    one, two = trained_twice
    assert bytes_of(one[0]) == bytes_of(two[0])
    assert one[1] == two[1]


def test_dropout_follows_the_seed() -> None:
    images, labels = photos(8), torch.arange(8) % 2
    made = []
    for seed in (0, 1):
        network = untrained(images)  # the same weights
        # One batch of all images: the order matters for the dropout alone.
        made.append(trained(network, images, labels, seed=seed, batch_size=8)[0]["cross_entropy"])
    assert made[0] != pytest.approx(made[1], rel=1e-4)


def test_training_on_two_kinds_of_images_lowers_the_loss() -> None:
    images, labels = photos(16, height=40, width=40), torch.arange(16) % 2
    images[labels == 1] //= 4  # dark ones
    network = untrained(images)
    history = trained(network, images, labels, epochs=8, batch_size=8)
    assert history[-1]["cross_entropy"] < history[0]["cross_entropy"] / 2


def test_a_last_batch_of_one_image_can_be_trained() -> None:
    images = photos(5, height=33, width=33)
    (row,) = trained(untrained(images), images, torch.arange(5) % 2, batch_size=4)
    assert np.isfinite(row["loss"])


def test_a_network_that_was_saved_and_loaded_gives_the_same_features_and_logits(
    trained_twice: list[tuple[EfficientNetB0, list[Row]]], tmp_path: Path
) -> None:
    network, images = trained_twice[0][0].eval(), photos(4)
    save_arrays(tmp_path / "network", network.arrays(), {"shape": network.shape})
    shape = load_about(tmp_path / "network")["shape"]
    loaded = EfficientNetB0.from_arrays(load_arrays(tmp_path / "network"), shape).eval()
    for before, after in zip(network(images), loaded(images), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (photos(1, channels=2), "EfficientNet-B0 wants grey or RGB images, got 2 channels"),
        (photos(1, height=32), "EfficientNet-B0 wants images of at least 33 px, got 32x64"),
    ],
)
def test_images_that_it_cannot_take_are_refused(images: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EfficientNetB0.for_images(images, classes=2)
    with pytest.raises(InputError, match=message):
        embed(Backbone(), images, device=CPU)


# --- above a frozen backbone ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def vectors(trunk: Backbone) -> Tensor:
    return embed(trunk, photos(24), device=CPU)


def above_frozen(vectors: Tensor) -> FrozenEfficientNetB0:
    network = FrozenEfficientNetB0(classes=2, embedding=7)
    network.initialize(vectors, torch.Generator().manual_seed(0))
    return network


@torch.no_grad()
def test_the_layers_before_are_what_the_whole_network_gives_for_the_images(
    vectors: Tensor, weights: Path
) -> None:
    whole = EfficientNetB0(classes=2)
    whole.start_from(from_file(weights))
    _, middle, features = whole.eval().layers(photos(24))
    maps, hidden, _ = above_frozen(vectors).layers(vectors)
    assert_close(maps, middle, rtol=1e-3, atol=1e-4)
    assert_close(hidden, features, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_features_are_the_embedding_of_standardized_vectors_after_a_relu(
    vectors: Tensor,
) -> None:
    network = above_frozen(vectors)
    last = vectors[:, -1280:].double().numpy()
    # 1280 values of deviation 1 have a mean squared length of 1280; it is brought to 64.
    standard = (last - last.mean(axis=0)) / last.std(axis=0, ddof=1) * (64 / 1280) ** 0.5
    arrays = {name: x.astype(np.float64) for name, x in network.arrays().items()}
    embedded = standard @ arrays["embedding.weight"].T + arrays["embedding.bias"]
    features, logits = network(vectors)
    np.testing.assert_allclose(features, np.maximum(embedded, 0), rtol=1e-3, atol=1e-4)
    assert_close(logits, network.classifier(features))


def test_a_value_that_hardly_changes_is_centered_and_not_stretched(vectors: Tensor) -> None:
    spoiled = vectors.clone()
    spoiled[:, -1] = 5
    spoiled[0, -1] = 5.0001
    scale = above_frozen(spoiled).scale
    assert scale[-1].item() == pytest.approx(20**0.5)
    assert_close(scale[:-1], above_frozen(vectors).scale[:-1])


def test_two_trainings_above_frozen_give_the_same_bytes(vectors: Tensor) -> None:
    one, two = above_frozen(vectors), above_frozen(vectors)
    labels = torch.arange(24) % 2
    assert trained(one, vectors, labels) == trained(two, vectors, labels)
    assert bytes_of(one) == bytes_of(two)


@pytest.mark.parametrize(("shift_px", "flip"), [(2, False), (0, True)])
def test_vectors_cannot_be_moved_or_mirrored(vectors: Tensor, shift_px: int, flip: bool) -> None:
    with pytest.raises(InputError, match=r"train.shift_px is .* wanted 0 and false"):
        trained(above_frozen(vectors), vectors, torch.arange(24) % 2, shift_px=shift_px, flip=flip)


# --- where the weights come from -----------------------------------------------------------------


def without(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.pop(name)


SPOILED: dict[str, tuple[Callable[[dict[str, Tensor]], object], str]] = {
    "one is missing": (
        without("features.0.1.bias"),
        "1 of 358 arrays are missing, first features.0.1.bias",
    ),
    "another shape": (
        lambda state: state.update({"features.0.0.weight": torch.zeros(32, 1, 3, 3)}),
        "features.0.0.weight is 32x1x3x3, wanted 32x3x3x3",
    ),
    "one too much": (
        lambda state: state.update({"head.weight": torch.zeros(2)}),
        "it has an array head.weight as well",
    ),
}


@pytest.mark.parametrize("case", SPOILED)
def test_a_file_with_other_weights_is_one_line_that_says_what_differs(
    case: str, theirs: EfficientNet, tmp_path: Path
) -> None:
    spoil, message = SPOILED[case]
    state = theirs.state_dict()
    spoil(state)
    save_file(state, tmp_path / "weights")
    with pytest.raises(InputError) as refused:
        from_file(tmp_path / "weights")
    start = f"efficientnet.weights: {tmp_path / 'weights'}: not the weights of torchvision's"
    assert str(refused.value) == f"{start} EfficientNet-B0: {message}"


def test_the_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file(mobilenet_v2().state_dict(), tmp_path / "weights")
    with pytest.raises(InputError, match=r"features.0.0.weight|of 358 arrays are missing"):
        from_file(tmp_path / "weights")


def test_weights_that_are_not_finite_are_refused(theirs: EfficientNet, tmp_path: Path) -> None:
    state = {name: values.clone() for name, values in theirs.state_dict().items()}
    state["features.3.0.block.0.0.weight"][0, 0] = torch.nan
    save_file(state, tmp_path / "weights")
    message = "features.3.0.block.0.0.weight has values that are not finite"
    with pytest.raises(InputError, match=message):
        from_file(tmp_path / "weights")


def with_efficientnet(folder: Path, *, weights: str, frozen: bool) -> Path:
    values = YAML(typ="safe", pure=True).load(PARAMS)
    values |= {"network": "efficientnet_b0", "efficientnet": {"weights": weights, "frozen": frozen}}
    values["train"] |= {"epochs": 1, "embedding": 7}
    values["autoencoder"] |= {"epochs": 1, "most_side_px": 8}
    YAML().dump(values, folder / "params.yaml")
    return folder / "params.yaml"


def test_without_weights_the_stage_backbone_writes_no_array(tmp_path: Path) -> None:
    backbone.main(with_efficientnet(tmp_path, weights="none", frozen=False), tmp_path / "backbone")
    assert load_arrays(tmp_path / "backbone") == {}


@pytest.mark.pipeline
def test_without_a_network_the_download_is_refused_in_one_line(tmp_path: Path) -> None:
    params = with_efficientnet(tmp_path, weights="imagenet", frozen=False)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and does not listen: who connects is refused
        proxy = f"http://127.0.0.1:{closed.getsockname()[1]}"
        proxies = {"http_proxy": proxy, "https_proxy": proxy, "no_proxy": ""}
        done = subprocess.run(
            [sys.executable, "-m", "stages.backbone", params, tmp_path / "backbone"],
            cwd=ROOT,
            env=os.environ | proxies | {"TORCH_HOME": str(tmp_path / "hub")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    url = EfficientNet_B0_Weights.IMAGENET1K_V1.url
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"backbone: efficientnet.weights: imagenet cannot be had from {url}: ")
    assert "Connection refused" in line
    assert not (tmp_path / "backbone").exists()


@pytest.fixture
def downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where torchvision looks for what it downloaded before."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = tmp_path / "hub" / "checkpoints" / Path(EfficientNet_B0_Weights.IMAGENET1K_V1.url).name
    path.parent.mkdir(parents=True)
    return path


def test_downloaded_weights_are_all_taken_but_the_classifiers(
    theirs: EfficientNet, downloaded: Path
) -> None:
    torch.save(theirs.state_dict(), downloaded)
    arrays = imagenet()
    assert set(theirs.state_dict()) - set(arrays) == {"classifier.1.weight", "classifier.1.bias"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, theirs.state_dict()[name])


@pytest.mark.parametrize("content", [b"", b"<html>Sorry", b"PK\3\4 cut off"], ids=repr)
def test_a_damaged_download_is_one_line(content: bytes, downloaded: Path) -> None:
    downloaded.write_bytes(content)
    with pytest.raises(InputError) as refused:
        imagenet()
    message = f"imagenet: {downloaded} is damaged; without it, it is downloaded anew"
    assert str(refused.value) == f"efficientnet.weights: {message}"


def test_a_misspelt_source_of_weights_is_one_line(tmp_path: Path) -> None:
    params = with_efficientnet(tmp_path, weights="imagnet", frozen=True)
    with pytest.raises(InputError) as refused:
        backbone.main(params, tmp_path / "backbone")
    wanted = "imagnet: no such file; wanted none, imagenet or a .safetensors file"
    assert str(refused.value) == f"efficientnet.weights: {wanted}"


def test_a_frozen_backbone_without_weights_is_refused(tmp_path: Path) -> None:
    params = with_efficientnet(tmp_path, weights="none", frozen=True)
    with pytest.raises(InputError, match="wanted weights where the backbone is frozen: imagenet"):
        backbone.main(params, tmp_path / "backbone")


# --- the stages ----------------------------------------------------------------------------------

PARTS = ("normal/train", "normal/calibration", "normal/test", "anomaly/head", "anomaly/test")


@pytest.mark.parametrize("frozen", [False, True])
def test_from_photos_to_views(frozen: bool, weights: Path, tmp_path: Path) -> None:
    params = with_efficientnet(tmp_path, weights=str(weights), frozen=frozen)
    arrays = {f"{part}/images": photos(6, seed=seed).numpy() for seed, part in enumerate(PARTS)}
    arrays |= {f"{part}/labels": np.arange(6) % 2 for part in PARTS}
    files = {
        name: tmp_path / name
        for name in (
            "images", "derived", "backbone", "embedded", "history", "network", "autoencoder",
        )
    }  # fmt: skip
    save_arrays(files["images"], arrays, {"class_names": ["dark", "light"]})
    given = files["images"], files["derived"], files["embedded"]
    derive.main(params, files["images"], files["derived"])
    backbone.main(params, files["backbone"])
    embed_stage.main(params, files["backbone"], *given)
    train.main(params, files["backbone"], given[0], given[2], files["history"], files["network"])
    train_autoencoder.main(params, files["images"], tmp_path / "ah", files["autoencoder"])
    extract.main(params, files["network"], files["autoencoder"], *given, tmp_path / "features")

    features, network = load_arrays(tmp_path / "features"), load_arrays(files["network"])
    logits = features["anomaly/test/features"] @ network["classifier.weight"].T
    logits += network["classifier.bias"]
    np.testing.assert_allclose(features["anomaly/test/logits"], logits, atol=1e-4)
    assert features["derived/blurred/features"].shape == (6, 7 if frozen else 1280)
    kept = {name for name in network if name.startswith("features.")}
    assert (len(kept), len(load_arrays(files["embedded"]))) == ((0, 11) if frozen else (358, 0))
