"""The one pass of images through a network, and the function that builds and trains one."""

import numpy as np
import pytest
import torch
from torch import Tensor

from belong import parameters
from belong.models.backbones import catalog
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.catalog import backbone_named
from belong.models.forward_pass import forward_pass
from belong.models.registry import NETWORKS, build
from belong.models.train_classifier import TrainingOptions, fit_classifier, train_classifier
from belong.parameters import FROZEN

CPU = torch.device("cpu")
OPTIONS = TrainingOptions(
    lambda_=0.5, epochs=1, batch_size=4, learning_rate=0.01, momentum=0.9, weight_decay=0.0005,
    center_rate=0.5, shift_px=0, flip=False, embedding=3,
)  # fmt: skip


def images(n: int, side_px: int) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    shape = n, 1, side_px, side_px
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


def test_batches_of_two_inputs_go_side_by_side_and_their_results_come_back_in_order() -> None:
    sizes = []

    def function(numbers: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        sizes.append((len(numbers), len(rows)))
        return numbers + rows[:, 0], 2 * rows

    numbers, rows = torch.arange(5), torch.arange(10).reshape(5, 2)
    total, doubled = forward_pass(function, numbers, rows, batch_size=2, device=CPU)
    assert sizes == [(2, 2)] * 3  # the last one is filled
    assert total.tolist() == [0, 3, 6, 9, 12]
    assert torch.equal(doubled, 2 * rows)


def test_nothing_is_recorded_for_a_gradient() -> None:
    weights = torch.ones(1, requires_grad=True)
    (product,) = forward_pass(lambda x: [x * weights], torch.ones(3), batch_size=2, device=CPU)
    assert not product.requires_grad


def test_no_rows_give_an_empty_result_of_the_same_form() -> None:
    (product,) = forward_pass(lambda x: [x @ torch.ones(2, 7)], torch.ones(0, 2), batch_size=2,
                              device=CPU)  # fmt: skip
    assert product.shape == (0, 7)


def test_an_exception_of_the_function_ends_the_pass() -> None:
    batches = []

    def stopped(batch: Tensor) -> list[Tensor]:
        batches.append(batch)
        if len(batches) == 2:
            raise KeyboardInterrupt
        return [batch]

    with pytest.raises(KeyboardInterrupt):
        forward_pass(stopped, torch.ones(9), batch_size=2, device=CPU)
    assert len(batches) == 2


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return backbone_named("test_efficientnet", "none")


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_a_network_that_is_built_by_name_has_a_logit_for_each_class(
    name: str, backbone: Backbone
) -> None:
    lengths = backbone.card.sizes
    inputs = torch.rand(2, sum(lengths)) if name == FROZEN else images(2, side_px=33)
    network = build(name, inputs, classes=4, embedding=3, backbone=backbone)
    assert type(network) is NETWORKS[name]
    assert network.eval()(inputs)[1].shape == (2, 4)


def test_the_backbones_that_params_yaml_names_are_those_of_the_catalog() -> None:
    assert set(parameters.NAMED_BACKBONES) == {*catalog.LITE, catalog.B0}


@pytest.mark.pipeline
def test_fitting_is_building_drawing_the_weights_and_training_in_turn() -> None:
    inputs, labels = images(18, side_px=12), torch.arange(18) % 3
    inputs[labels == 1] //= 4  # dark ones, and
    inputs[labels == 2, :, :6] = 0  # half black ones
    generator = torch.Generator().manual_seed(3)
    options = OPTIONS.model_copy(update={"epochs": 40})
    network, rows = fit_classifier(
        inputs, labels, (inputs, labels), network="lenet", classes=3, options=options,
        generator=generator, device=CPU,
    )  # fmt: skip
    second, generator = build("lenet", inputs, classes=3, embedding=3), generator.manual_seed(3)
    second.initialize(inputs, generator)
    assert rows == train_classifier(
        second, inputs, labels, (inputs, labels), options=options, generator=generator
    )
    for name, values in network.arrays().items():
        np.testing.assert_array_equal(values, second.arrays()[name])


def test_fitting_starts_from_the_weights_of_a_backbone_and_leaves_the_backbone_as_it_is(
    backbone: Backbone,
) -> None:
    inputs, labels = images(4, side_px=33), torch.arange(4) % 2
    trained = backbone.card.model_copy(update={"weights": "of an earlier training"})
    loaded = Backbone(trained).loaded(backbone.arrays())
    first, distance_of = "conv_stem.weight", {}
    for name, start in (("given", loaded), ("drawn", backbone)):
        network, _ = fit_classifier(
            inputs, labels, (inputs, labels), network="fine_tuned", classes=2,
            options=OPTIONS, generator=torch.Generator().manual_seed(3), device=CPU,
            backbone=start,
        )  # fmt: skip
        after = network.arrays()[f"backbone.trunk.{first}"]
        distance_of[name] = float(np.abs(after - backbone.arrays()[first]).max())
    assert 0 < distance_of["given"] < 0.1 < distance_of["drawn"]
    for name, array in loaded.arrays().items():
        np.testing.assert_array_equal(array, backbone.arrays()[name])
