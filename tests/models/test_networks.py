"""The contract of every network: a new one that violates it fails here, before training."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from belong.models import checkpoint as checkpoints
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.catalog import backbone_named
from belong.models.base import Network
from belong.models.checkpoint import Checkpoint, TrainingState
from belong.models.registry import FROM_SCRATCH, NETWORKS, build
from belong.models.train_classifier import TrainingOptions, train_classifier
from belong.parameters import FROZEN
from belong.prediction.bundle import Bundle
from belong.prediction.manifest import IntegrityError
from belong.prediction.onnx.export import model as graph_of
from belong.prediction.predictor import Predictor
from belong.runtime.errors import InputError
from tests.small_bundle import a_bundle

CPU = torch.device("cpu")
SIDE_PX, CLASSES = 40, 3


@dataclass(frozen=True)
class Case:
    """A network whose weights are drawn, and what it takes.

    Attributes:
        inputs: images (n, 3, h, w), or vectors (n, v) of a frozen backbone.
        images: of which the inputs are.
        backbone: that it stands on, or stood on.
    """

    name: str
    network: Network
    inputs: Tensor
    images: Tensor
    backbone: Backbone | None

    def again(self, arrays: Mapping[str, np.ndarray] | None = None) -> Network:
        """Return the network rebuilt from its saved arrays."""
        card = self.backbone.card if self.backbone else None
        shape = json.loads(json.dumps(self.network.shape))
        weights = self.network.arrays() if arrays is None else arrays
        return NETWORKS[self.name].from_arrays(weights, shape, card)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return backbone_named("test_efficientnet", "none").eval()


@pytest.fixture(params=sorted(NETWORKS))
def case(request: pytest.FixtureRequest, backbone: Backbone) -> Case:
    return untrained(request.param, backbone)


def untrained(name: str, backbone: Backbone, *, seed: int = 0) -> Case:
    shape = (12, 3, SIDE_PX, SIDE_PX)
    pixels = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=pixels)
    case_backbone = None if name in FROM_SCRATCH else backbone
    with torch.no_grad():
        inputs = backbone.vectors(images) if name == FROZEN else images
    network = build(name, inputs, classes=CLASSES, embedding=5, backbone=case_backbone)
    network.initialize(inputs, torch.Generator().manual_seed(seed))
    return Case(name, network, inputs, images, case_backbone)


def outputs(network: Network, inputs: Tensor) -> list[Tensor]:
    """Return the three layers, the features and the logits in evaluation mode."""
    with torch.no_grad():
        return [*network.eval().layers(inputs), *network.eval()(inputs)]


def test_the_layers_are_rows_of_numbers_the_last_are_the_features_and_give_the_logits(
    case: Case,
) -> None:
    early, middle, last, features, logits = outputs(case.network, case.inputs)
    n, d = len(case.inputs), case.network.classifier.in_features
    assert [x.shape[0] for x in (early, middle)] == [n, n]
    assert [x.ndim for x in (early, middle)] == [2, 2]
    assert (last.shape, logits.shape) == ((n, d), (n, CLASSES))
    assert {x.dtype for x in (early, middle, last, logits)} == {torch.float32}
    torch.testing.assert_close(features, last)
    torch.testing.assert_close(logits, case.network.classifier(features))


def test_images_that_differ_have_other_features(case: Case) -> None:
    _, _, features, *_ = outputs(case.network, case.inputs)
    assert (features.std(dim=0) > 0).any()
    assert case.network.batch >= 1


def test_what_an_image_gives_does_not_depend_on_the_others(case: Case) -> None:
    together = outputs(case.network, case.inputs)
    order = torch.arange(len(case.inputs)).flip(0)
    for whole, flipped in zip(together, outputs(case.network, case.inputs[order]), strict=True):
        torch.testing.assert_close(whole[order], flipped, rtol=1e-4, atol=1e-5)
    for whole, alone in zip(together, outputs(case.network, case.inputs[2:3]), strict=True):
        torch.testing.assert_close(whole[2:3], alone, rtol=1e-4, atol=1e-5)
    assert [len(x) for x in outputs(case.network, case.inputs[:0])] == [0] * 5


def test_a_network_leaves_its_inputs_as_they_are(case: Case) -> None:
    before = case.inputs.clone()
    outputs(case.network, case.inputs)
    assert torch.equal(case.inputs, before)


@pytest.mark.parametrize("value", [0, 255])
def test_an_image_of_one_color_has_finite_numbers(case: Case, value: int) -> None:
    blank = torch.full_like(case.inputs[:2], value)
    case.network.initialize(blank, torch.Generator().manual_seed(0))
    assert all(x.isfinite().all() for x in outputs(case.network, blank))


def test_from_its_arrays_and_its_shape_comes_the_same_network(case: Case) -> None:
    before = outputs(case.network, case.inputs)
    for one, other in zip(before, outputs(case.again(), case.inputs), strict=True):
        assert torch.equal(one, other)


def test_arrays_of_another_shape_are_refused(case: Case) -> None:
    arrays = dict(case.network.arrays())
    arrays["classifier.bias"] = arrays["classifier.bias"][:-1]
    with pytest.raises(RuntimeError, match="size mismatch"):
        case.again(arrays)


def test_the_weights_follow_the_generator_alone(case: Case, backbone: Backbone) -> None:
    torch.manual_seed(7)  # torch's own generator does not matter
    same = untrained(case.name, backbone).network.arrays()
    other = untrained(case.name, backbone, seed=1).network.arrays()
    first = case.network.arrays()
    assert all(np.array_equal(first[name], same[name]) for name in first)
    assert not np.array_equal(first["classifier.weight"], other["classifier.weight"])


class KilledError(Exception):
    """Simulates a killed process."""


class KilledOnce(Checkpoint):
    def keep(self, state: TrainingState) -> None:
        super().keep(state)
        if len(state.history) == 1:
            raise KilledError


def trained(case: Case, checkpoint: Checkpoint | None) -> bytes:
    """Train it for three epochs; return the bytes of all its arrays."""
    generator = torch.Generator().manual_seed(3)
    case.network.initialize(case.inputs, generator)
    labels = torch.arange(len(case.inputs)) % CLASSES
    options = TrainingOptions(
        lambda_=0.5, epochs=3, batch_size=5, learning_rate=0.01, momentum=0.9, weight_decay=0.0005,
        center_rate=0.5, shift_px=0, flip=False, embedding=5,
    )  # fmt: skip
    train_classifier(
        case.network, case.inputs, labels, (case.inputs, labels), options=options,
        generator=generator, checkpoint=checkpoint,
    )  # fmt: skip
    return b"".join(array.tobytes() for array in case.network.arrays().values())


def test_a_training_moves_every_weight(case: Case) -> None:
    case.network.initialize(case.inputs, torch.Generator().manual_seed(3))
    before = {name: x.detach().clone() for name, x in case.network.named_parameters()}
    trained(case, None)
    still = [name for name, x in case.network.named_parameters() if torch.equal(x, before[name])]
    assert still == []


@pytest.mark.robustness
def test_a_training_that_was_killed_goes_on_to_the_same_bytes(
    case: Case, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "SHARE", float("inf"))
    whole = trained(untrained(case.name, backbone), None)
    with pytest.raises(KilledError):
        trained(case, KilledOnce(tmp_path / "kept", "key"))
    checkpoint = Checkpoint(tmp_path / "kept", "key")
    assert checkpoint.epochs == 1
    assert trained(untrained(case.name, backbone), checkpoint) == whole


def bundle_of(case: Case) -> Bundle:
    """Return a model with this network; `energy` is in force."""
    d = case.network.classifier.in_features
    channels, height, width = case.images.shape[1:]
    form = a_bundle().manifest.form.model_copy(
        update={"channels": channels, "height": height, "width": width, "color": "rgb"}
    )
    arrays: dict[str, Mapping[str, np.ndarray]] = {
        "network": case.network.arrays(),
        "detectors": {
            "mahalanobis/means": np.zeros((CLASSES, d), np.float32),
            "mahalanobis/thresholds": np.ones(CLASSES, np.float32),
            "mahalanobis/whitening": np.eye(d, dtype=np.float32)[None],
        },
        "calibration": {"energy": np.zeros(3, np.float32)},
        "training": {
            "features": np.zeros((1, d), np.float32),
            "labels": np.zeros(1, np.int64),
            "thumbnails": np.zeros((1, channels, height, width), np.uint8),
        },
    }
    if case.name == FROZEN and case.backbone:
        arrays["backbone"] = case.backbone.arrays()
    manifest = a_bundle().manifest.model_copy(
        update={
            "network": case.name,
            "shape": case.network.shape,
            "class_names": [f"class {number}" for number in range(CLASSES)],
            "form": form,
            "backbone": case.backbone.card if case.backbone else None,
        }
    )
    return Bundle(manifest, arrays)


def test_a_saved_model_gives_the_logits_of_the_network(case: Case, tmp_path: Path) -> None:
    *_, features, logits = outputs(case.network, case.inputs)
    bundle_of(case).save(tmp_path / "model")
    scored = Predictor(Bundle.load(tmp_path / "model"), device=CPU).score(case.images.numpy())
    np.testing.assert_allclose(scored.features, features, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(scored.label, logits.argmax(dim=1))


@pytest.mark.pipeline
def test_the_onnx_graph_of_a_model_scores_as_the_model(case: Case) -> None:
    bundle, images = bundle_of(case), case.images.numpy()
    session = onnxruntime.InferenceSession(graph_of(bundle).SerializeToString())
    score, label = session.run(["score", "label"], {"images": images.transpose(0, 2, 3, 1)})
    expected = Predictor(bundle, device=CPU).score(images)
    np.testing.assert_allclose(score, expected.score, rtol=1e-4)
    np.testing.assert_array_equal(label, expected.label)


@pytest.mark.parametrize("name", sorted(FROM_SCRATCH))
def test_images_that_are_too_small_are_refused_in_one_line(name: str) -> None:
    with pytest.raises(InputError, match=r"images of at least \d+ px, got 2x3$"):
        build(name, torch.zeros(2, 3, 2, 3, dtype=torch.uint8), classes=2, embedding=2)


def test_a_model_of_a_network_that_is_not_here_is_told_in_one_line(backbone: Backbone) -> None:
    bundle = bundle_of(untrained("lenet", backbone))
    elsewhere = bundle.manifest.model_copy(update={"network": "pooled"})
    with pytest.raises(IntegrityError, match="the model's network is 'pooled'; expected lenet, "):
        Predictor(replace(bundle, manifest=elsewhere), device=CPU)
