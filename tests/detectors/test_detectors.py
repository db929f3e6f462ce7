"""The contract that every detector of the registry keeps."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor
from torch.testing import assert_close

from belong.detectors import mahalanobis, mlp_head
from belong.detectors.base import Training
from belong.detectors.registry import DETECTORS, GAUSSIANS, HEAD, KINDS
from belong.models.activations import Views
from belong.parameters import COMBINABLE, DetectorsSection
from belong.runtime.errors import InputError
from belong.runtime.storage import load_arrays, save_arrays

Score = Callable[[Views], Tensor]

# Three classes of 50 images, 6 features; two features are dead, as after a ReLU they often are.
N, D, CLASSES = 50, 6, ("ant", "bee", "cat")
MAPS, NODES_OF_A_CLASS, CODES = 5, 4, 8

PARAMETERS: dict[str, dict[str, Any]] = {
    "code_knn": {"k": 5},
    "code_iforest": {"trees": 50, "sample": 64, "seed": 0},
    "mahalanobis_tied": {"ridge": 0.001},
    "relative_mahalanobis": {"ridge": 0.001},
    "feature_knn": {"k": 5},
    "vim": {"principal": 3},
    "mahalanobis_maps": {"quantile": 0.975, "ridge": 0.001, "covariance": "per_class"},
    "mahalanobis_hidden": {"quantile": 0.975, "ridge": 0.001, "covariance": "per_class"},
    "mahalanobis_layers": {"quantile": 0.975, "ridge": 0.001, "covariance": "per_class"},
}


def training_views() -> tuple[Views, Tensor]:
    """Return the views of 150 images, and their labels (150,)."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(CLASSES)).repeat_interleave(N)
    n = len(labels)
    centers = 4 * torch.rand(len(CLASSES), D, generator=generator)
    features = (centers[labels] + torch.randn(n, D, generator=generator)).relu()
    features[:, 5] = 0
    features[labels == 1, 4] = 0
    own = F.one_hot(labels).float()
    nodes = own.repeat_interleave(NODES_OF_A_CLASS, dim=1)  # each class has its third of them
    map_centers = 4 * torch.rand(len(CLASSES), MAPS, generator=generator)
    code_centers = -1 - 2 * torch.rand(len(CLASSES), CODES, generator=generator)
    return Views(
        features=features,
        logits=10 * own + torch.randn(n, len(CLASSES), generator=generator),
        hidden=nodes * (3 + torch.randn(nodes.shape, generator=generator)).relu(),
        maps=(map_centers[labels] + torch.randn(n, MAPS, generator=generator)).relu(),
        codes=(code_centers[labels] + 0.3 * torch.randn(n, CODES, generator=generator)).sigmoid(),
        reconstruction_error=0.01 + 0.01 * torch.rand(n, generator=generator),
    ), labels


def far_away_views() -> Views:
    """Return the views of 80 images far from every class; the supervised head learns from them."""
    generator = torch.Generator().manual_seed(1)
    features = 25 + torch.randn(80, D, generator=generator)
    features[:, 1] = 0  # every class has much of it: this way, whatever the length, none lies
    features[:, 5] = 0  # dead on all images
    nodes = len(CLASSES) * NODES_OF_A_CLASS
    return Views(
        features=features,
        logits=0.1 * torch.randn(80, len(CLASSES), generator=generator),
        hidden=8 + torch.randn(80, nodes, generator=generator),
        maps=25 + torch.randn(80, MAPS, generator=generator),
        codes=(3 + 0.3 * torch.randn(80, CODES, generator=generator)).sigmoid(),
        reconstruction_error=0.2 + 0.1 * torch.rand(80, generator=generator),
    )


def all_views() -> Views:
    """Return the views of the 150 training images and then of the 80 far away."""
    near, far = vars(training_views()[0]), vars(far_away_views())
    return Views(**{view: torch.cat((near[view], far[view])) for view in near})


def training(**changed: Tensor) -> Training:
    """Return what a kind is fitted to, with some views in place of the usual ones."""
    generator = torch.Generator().manual_seed(3)
    views, labels = training_views()
    return Training(
        views=Views(**(vars(views) | changed)),
        labels=labels,
        class_names=list(CLASSES),
        weight=torch.randn(len(CLASSES), D, generator=generator),
        bias=torch.randn(len(CLASSES), generator=generator),
    )


def fit_kind(kind: str, given: Training | None = None) -> Any:
    return KINDS[kind].fit(given or training(), **PARAMETERS.get(kind, {}))


def fit_gaussians() -> mahalanobis.ClassGaussians:
    views, labels = training_views()
    return mahalanobis.fit(
        views.features, labels, list(CLASSES), quantile=0.975, ridge=0.001, covariance="per_class"
    )


def fit_head() -> mlp_head.SupervisedHead:
    head, _ = mlp_head.fit(
        training_views()[0].features,
        far_away_views().features,
        epochs=10,
        batch_size=32,
        learning_rate=0.003,
        generator=torch.Generator().manual_seed(0),
    )
    return head


def fit(name: str) -> Any:
    if name in GAUSSIANS:
        return fit_gaussians()
    return fit_head() if name in HEAD else fit_kind(name)


@pytest.fixture(params=DETECTORS, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fitted(name: str) -> Any:
    return fit(name)


@pytest.fixture(scope="module")
def score(name: str, fitted: Any) -> Score:
    return lambda views: DETECTORS[name].score(fitted, views)


@pytest.mark.parametrize("n", [0, 1, 2, 150])
def test_n_images_get_n_finite_float32_scores(score: Score, n: int) -> None:
    scores = score(training_views()[0].rows(torch.arange(n)))
    assert scores.shape == (n,)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()


def test_every_far_away_image_scores_higher_than_95_percent_of_the_training_images(
    score: Score,
) -> None:
    assert score(far_away_views()).min() > score(training_views()[0]).quantile(0.95)


@pytest.mark.parametrize(
    "name",
    [name for name, one in DETECTORS.items() if one.threshold is not None],
    indirect=True,
    scope="module",
)
def test_at_the_papers_threshold_far_away_images_do_not_belong_and_most_training_images_do(
    name: str, score: Score
) -> None:
    threshold = DETECTORS[name].threshold
    assert isinstance(threshold, float)
    assert (score(far_away_views()) > threshold).all()
    # The paper's 97.5 % per class; an image may lie within another class's threshold as well.
    assert (score(training_views()[0]) <= threshold).float().mean() >= 0.96


def test_images_scored_one_by_one_score_as_in_a_batch(score: Score) -> None:
    views = all_views()
    one_by_one = torch.cat([score(views.rows(torch.tensor([i]))) for i in range(len(views))])
    assert_close(one_by_one, score(views), rtol=1e-4, atol=1e-5)


def test_shuffled_images_get_their_scores_in_the_new_order(score: Score) -> None:
    views = all_views()
    order = torch.randperm(len(views), generator=torch.Generator().manual_seed(2))
    assert_close(score(views.rows(order)), score(views)[order], rtol=1e-4, atol=1e-5)


def test_scoring_twice_gives_the_same_bits(score: Score) -> None:
    views = all_views()
    assert torch.equal(score(views), score(views))


def test_fitting_twice_gives_the_same_bits(name: str, fitted: Any) -> None:
    first, second = fitted.arrays(), fit(name).arrays()
    assert {key: x.tobytes() for key, x in first.items()} == {
        key: x.tobytes() for key, x in second.items()
    }


def test_a_detector_that_was_saved_and_loaded_gives_the_same_scores(
    name: str, fitted: Any, score: Score, tmp_path: Path
) -> None:
    save_arrays(tmp_path / "fitted.safetensors", fitted.arrays())
    loaded = DETECTORS[name].load(load_arrays(tmp_path / "fitted.safetensors"))
    views = all_views()
    assert torch.equal(DETECTORS[name].score(loaded, views), score(views))


def test_scoring_does_not_change_the_views(score: Score) -> None:
    views = all_views()
    score(views)
    for view, values in vars(all_views()).items():
        assert torch.equal(getattr(views, view), values)


def test_scoring_does_not_change_what_was_fitted(fitted: Any, score: Score) -> None:
    before = {key: x.tobytes() for key, x in fitted.arrays().items()}
    score(far_away_views())
    assert {key: x.tobytes() for key, x in fitted.arrays().items()} == before


def test_scores_carry_no_gradient(score: Score) -> None:
    assert not score(training_views()[0]).requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_fitting_does_not_change_what_it_is_fitted_to(kind: str) -> None:
    given = training()
    fit_kind(kind, given)
    for view, values in vars(training_views()[0]).items():
        assert torch.equal(getattr(given.views, view), values)


@pytest.mark.parametrize(
    ("kind", "view"),
    [
        ("code_knn", "codes"),
        ("code_iforest", "codes"),
        ("active_nodes", "features"),
        ("mahalanobis_tied", "features"),
        ("relative_mahalanobis", "features"),
        ("feature_knn", "features"),
        ("vim", "features"),
        ("mahalanobis_maps", "maps"),
        ("mahalanobis_hidden", "hidden"),
        ("mahalanobis_layers", "maps"),
        ("mahalanobis_layers", "hidden"),
        ("mahalanobis_layers", "features"),
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_training_image_whose_vector_is_not_finite_is_refused_by_its_number(
    kind: str, view: str, value: float
) -> None:
    values = getattr(training_views()[0], view)
    values[17, 2] = value
    values[90, 0] = value
    with pytest.raises(InputError, match="training image 17 are not finite"):
        fit_kind(kind, training(**{view: values}))


@pytest.mark.parametrize("kind", ["code_knn", "feature_knn"])
def test_a_k_larger_than_the_training_part_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match="k is 151, but there are only 150 training images"):
        KINDS[kind].fit(training(), k=151)


@pytest.mark.parametrize("principal", [D, D + 1])
def test_a_principal_space_of_all_dimensions_is_refused(principal: int) -> None:
    with pytest.raises(InputError, match=rf"vim\.principal is {principal}, .* have 6 dimensions"):
        KINDS["vim"].fit(training(), principal=principal)


@pytest.mark.parametrize("kind", [kind for kind, own in PARAMETERS.items() if "ridge" in own])
def test_with_a_ridge_an_image_off_a_constant_value_is_more_anomalous_than_one_on_it(
    kind: str,
) -> None:
    views = training_views()[0]
    constant = {view: getattr(views, view) for view in ("features", "hidden", "maps")}
    for values in constant.values():
        values[:, 1] = 2
    given = training(**constant)
    fitted = fit_kind(kind, given)
    on = fitted.score(given.views)
    for values in constant.values():
        values[:, 1] = 3
    off = fitted.score(training(**constant).views)
    assert on.isfinite().all()
    if kind == "relative_mahalanobis":
        # All images agree there as those of each class do: both distances grow alike, but for
        # the ridge, which is a share of two different variances.
        assert off.isfinite().all()
    else:
        assert (off > on).all()


def test_all_detectors_but_the_one_that_learns_from_anomalies_can_be_combined() -> None:
    assert sorted(COMBINABLE) == sorted(set(DETECTORS) - {"mlp_head"})


def test_the_keys_of_each_detectors_section_are_the_keywords_of_its_fit() -> None:
    keywords = {
        kind: {
            parameter.name
            for parameter in inspect.signature(KINDS[kind].fit).parameters.values()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        for kind in KINDS
    }
    keywords["code_iforest"].remove("seed")  # a parameter of the whole pipeline
    sections = {
        name: set(getattr(field.annotation, "model_fields"))  # noqa: B009  (a class, to mypy)
        for name, field in DetectorsSection.model_fields.items()
    }
    assert sections == {kind: names for kind, names in keywords.items() if names}
