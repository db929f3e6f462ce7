"""The contract of every detector in the registry; a new entry is tested automatically.

A new detector may need its keywords in PARAMETERS, and its view in VIEWS.
"""

import difflib
import inspect
import re
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from torch import Tensor
from torch.testing import assert_close

from belong.detectors import mlp_head, registry
from belong.detectors.base import Detector, Training, Unfitted
from belong.detectors.combination import MEMBERS_OF_FEW_IMAGES, candidates_of
from belong.detectors.max_logit import MaximumLogit
from belong.detectors.registry import DETECTORS, stored_in
from belong.models.activations import Views
from belong.parameters import DetectorsSection
from belong.prediction import build_bundle
from belong.runtime.errors import InputError
from belong.runtime.storage import load_arrays, save_arrays

# Three classes of 50 images, 6 features; two features are dead, as after a ReLU they often are.
N, D, CLASSES = 50, 6, ("ant", "bee", "cat")
MAPS, NODES_OF_A_CLASS, CODES = 5, 4, 8

GAUSSIANS = {"quantile": 0.975, "ridge": 0.001, "covariance": "per_class"}
PARAMETERS: dict[str, dict[str, Any]] = {
    "mahalanobis": GAUSSIANS,
    "mahalanobis_min": GAUSSIANS,
    "code_knn": {"k": 5},
    "code_iforest": {"trees": 50, "sample": 64, "seed": 0},
    "gen": {"gamma": 0.1, "top": 100},
    "mahalanobis_tied": {"ridge": 0.001},
    "relative_mahalanobis": {"ridge": 0.001},
    "feature_knn": {"k": 5},
    "vim": {"principal": 3},
    "mahalanobis_maps": GAUSSIANS,
    "gram_maps": {"powers": 10},
    "mahalanobis_hidden": GAUSSIANS,
    "mahalanobis_layers": GAUSSIANS,
    "mahalanobis_normalized": {"ridge": 0.001},
    "hidden_knn": {"k": 5},
}
# The view that each detector is fitted to; detectors not listed here are not fitted.
VIEWS = [
    ("mahalanobis", "features"),
    ("mahalanobis_min", "features"),
    ("code_knn", "codes"),
    ("code_iforest", "codes"),
    ("active_nodes", "hidden"),
    ("active_nodes", "features"),
    ("mahalanobis_tied", "features"),
    ("relative_mahalanobis", "features"),
    ("feature_knn", "features"),
    ("vim", "features"),
    ("mahalanobis_maps", "maps"),
    ("gram_maps", "maps"),
    ("mahalanobis_hidden", "hidden"),
    ("mahalanobis_layers", "maps"),
    ("mahalanobis_layers", "hidden"),
    ("mahalanobis_layers", "features"),
    ("mahalanobis_normalized", "hidden"),
    ("hidden_knn", "hidden"),
]
FITTED = [name for name in DETECTORS if name != "mlp_head"]  # to normal images alone


def training_views() -> tuple[Views, Tensor]:
    """Return the views of 150 images, and their labels (150,)."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(len(CLASSES)).repeat_interleave(N)
    n = len(labels)
    centers = 4 * torch.rand(len(CLASSES), D, generator=generator)
    features = (centers[labels] + torch.randn(n, D, generator=generator)).relu()
    features[:, 5] = 0
    features[labels == 1, 4] = 0
    one_hot = F.one_hot(labels).float()
    nodes = one_hot.repeat_interleave(NODES_OF_A_CLASS, dim=1)  # each class has its third of them
    map_centers = 4 * torch.rand(len(CLASSES), MAPS, generator=generator)
    code_centers = -1 - 2 * torch.rand(len(CLASSES), CODES, generator=generator)
    return Views(
        features=features,
        logits=10 * one_hot + torch.randn(n, len(CLASSES), generator=generator),
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


def training(**new_views: Tensor) -> Training:
    """Return training data with some of the default views replaced."""
    generator = torch.Generator().manual_seed(3)
    views, labels = training_views()
    return Training(
        views=Views(**(vars(views) | new_views)),
        labels=labels,
        class_names=list(CLASSES),
        weight=torch.randn(len(CLASSES), D, generator=generator),
        bias=torch.randn(len(CLASSES), generator=generator),
    )


def fit(name: str, data: Training | None = None) -> Detector:
    if name == "mlp_head":
        head, _ = mlp_head.fit(
            training_views()[0].features,
            far_away_views().features,
            epochs=10,
            batch_size=32,
            learning_rate=0.003,
            generator=torch.Generator().manual_seed(0),
        )
        return mlp_head.MlpHead(head)
    fitted: Detector = DETECTORS[name].fit(data or training(), **PARAMETERS.get(name, {}))
    return fitted


def bits(detector: Detector) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in detector.arrays().items()}


@pytest.fixture(params=DETECTORS, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def detector(name: str) -> Detector:
    return fit(name)


def test_the_axes_name_every_array(name: str, detector: Detector) -> None:
    """By its axes, an array of another shape is refused."""
    named = {entry.partition(" ")[0] for entry in detector.axes.split(", ")} - {""}
    assert named == set(detector.arrays()) or name in ("code_iforest", "mlp_head")  # they check


@pytest.mark.parametrize("n", [0, 1, 2, 150])
def test_n_images_get_n_finite_float32_scores(detector: Detector, n: int) -> None:
    scores = detector.score(training_views()[0].rows(torch.arange(n)))
    assert scores.shape == (n,)
    assert scores.dtype == torch.float32
    assert scores.isfinite().all()


def test_every_far_away_image_scores_higher_than_95_percent_of_the_training_images(
    detector: Detector,
) -> None:
    assert detector.score(far_away_views()).min() > detector.score(training_views()[0]).quantile(
        0.95
    )


@pytest.mark.parametrize(
    "name",
    [name for name, one in DETECTORS.items() if one.threshold is not None],
    indirect=True,
    scope="module",
)
def test_at_the_papers_threshold_far_away_images_do_not_belong_and_most_training_images_do(
    name: str, detector: Detector
) -> None:
    threshold = DETECTORS[name].threshold
    assert isinstance(threshold, float)
    assert (detector.score(far_away_views()) > threshold).all()
    # The paper's 97.5% per class; an image may lie within another class's threshold as well.
    assert (detector.score(training_views()[0]) <= threshold).float().mean() >= 0.96


def test_images_scored_one_by_one_score_as_in_a_batch(detector: Detector) -> None:
    views = all_views()
    one_by_one = torch.cat(
        [detector.score(views.rows(torch.tensor([i]))) for i in range(len(views))]
    )
    assert_close(one_by_one, detector.score(views), rtol=1e-4, atol=1e-5)


def test_shuffled_images_get_their_scores_in_the_new_order(detector: Detector) -> None:
    views = all_views()
    order = torch.randperm(len(views), generator=torch.Generator().manual_seed(2))
    assert_close(
        detector.score(views.rows(order)), detector.score(views)[order], rtol=1e-4, atol=1e-5
    )


def test_scoring_twice_gives_the_same_bits(detector: Detector) -> None:
    views = all_views()
    assert torch.equal(detector.score(views), detector.score(views))


def test_fitting_twice_gives_the_same_bits(name: str, detector: Detector) -> None:
    assert bits(fit(name)) == bits(detector)


def test_a_detector_that_was_saved_and_loaded_gives_the_same_scores(
    name: str, detector: Detector, tmp_path: Path
) -> None:
    save_arrays(tmp_path / "fitted.safetensors", detector.arrays())
    loaded = DETECTORS[name].from_arrays(load_arrays(tmp_path / "fitted.safetensors"))
    views = all_views()
    assert torch.equal(loaded.score(views), detector.score(views))


def test_scoring_does_not_change_the_views(detector: Detector) -> None:
    views = all_views()
    detector.score(views)
    for view, values in vars(all_views()).items():
        assert torch.equal(getattr(views, view), values)


def test_scoring_does_not_change_what_was_fitted(detector: Detector) -> None:
    before = bits(detector)
    detector.score(far_away_views())
    assert bits(detector) == before


def test_scores_carry_no_gradient(detector: Detector) -> None:
    assert not detector.score(training_views()[0]).requires_grad


def test_it_says_in_the_middle_of_a_sentence_what_is_odd(detector: Detector) -> None:
    assert re.fullmatch(r"(it|its|no|the) [^.;]+", detector.odd)


# A forest knows the axes that it cuts, and not how many there are: it takes longer vectors.
@pytest.mark.parametrize(
    ("name", "view", "more"),
    [
        (name, view, more)
        for name, view in [*VIEWS, ("mlp_head", "features")]
        for more in (-1, 1)
        if (name, more) != ("code_iforest", 1)
    ],
)
def test_vectors_of_another_width_than_those_that_it_was_fitted_to_are_refused(
    name: str, view: str, more: int
) -> None:
    other = F.pad(getattr(all_views(), view), (0, more))
    with pytest.raises((RuntimeError, IndexError)):
        fit(name).score(Views(**(vars(all_views()) | {view: other})))


@pytest.mark.parametrize("name", FITTED)
def test_fitting_does_not_change_what_it_is_fitted_to(name: str) -> None:
    data = training()
    fit(name, data)
    for view, values in vars(training_views()[0]).items():
        assert torch.equal(getattr(data.views, view), values)


# A tree draws its sample by place.
@pytest.mark.parametrize("name", [name for name in FITTED if name != "code_iforest"])
def test_the_order_of_the_training_images_does_not_matter(name: str) -> None:
    data = training()
    order = torch.randperm(len(data.labels), generator=torch.Generator().manual_seed(4))
    shuffled = replace(data, views=data.views.rows(order), labels=data.labels[order])
    scores = fit(name, shuffled).score(all_views())
    assert_close(scores, fit(name, data).score(all_views()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("name", "view"), VIEWS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_training_image_whose_vector_is_not_finite_is_refused_by_its_number(
    name: str, view: str, value: float
) -> None:
    values = getattr(training_views()[0], view)
    values[17, 2] = value
    values[90, 0] = value
    with pytest.raises(InputError, match="training image 17 are not finite"):
        fit(name, training(**{view: values}))


@pytest.mark.parametrize("name", ["code_knn", "feature_knn", "hidden_knn"])
def test_a_k_larger_than_the_training_part_is_refused(name: str) -> None:
    with pytest.raises(
        InputError, match="k: expected at most 150, the number of training images, got 151"
    ):
        DETECTORS[name].fit(training(), k=151)


@pytest.mark.parametrize("principal", [D, D + 1])
def test_a_principal_space_of_all_dimensions_is_refused(principal: int) -> None:
    with pytest.raises(
        InputError, match=rf"vim\.principal: expected less than 6, .* got {principal}"
    ):
        DETECTORS["vim"].fit(training(), principal=principal)


@pytest.mark.parametrize(
    "name", [name for name, parameters in PARAMETERS.items() if "ridge" in parameters]
)
def test_with_a_ridge_an_image_off_a_constant_value_is_more_anomalous_than_one_on_it(
    name: str,
) -> None:
    views = training_views()[0]
    constant = {view: getattr(views, view) for view in ("features", "hidden", "maps")}
    for values in constant.values():
        values[:, 1] = 2
    data = training(**constant)
    fitted = fit(name, data)
    on = fitted.score(data.views)
    for values in constant.values():
        values[:, 1] = 3
    off = fitted.score(training(**constant).views)
    assert on.isfinite().all()
    if name in ("relative_mahalanobis", "mahalanobis_normalized"):
        # Of vectors of length 1 a larger value makes all others smaller. For the relative one, all
        # images agree there as those of each class do: both distances grow alike, but for
        # the ridge, which is a share of two different variances.
        assert off.isfinite().all()
    else:
        assert (off > on).all()


def test_all_detectors_but_the_one_that_learns_from_anomalies_can_be_combined() -> None:
    assert set(DETECTORS) - set(combinable()) == {"mlp_head"}


def combinable() -> list[str]:
    return [name for name, kind in DETECTORS.items() if kind.is_combinable]


class Toy(MaximumLogit):
    """A detector that joins."""


def test_a_detector_of_one_class_and_one_line_can_be_a_member_and_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert list(registry.unknown_names(["toy", "energy"], "toy")) == [
        "combined.members: expected detectors that learn without anomalies; nearest is "
        f"{nearest('toy', combinable())}, got ['toy', 'energy']",
        "bundle.detector: expected combined or a detector; nearest is "
        f"{nearest('toy', ['combined', *DETECTORS])}, got 'toy'",
    ]
    monkeypatch.setitem(DETECTORS, "toy", Toy)
    assert list(registry.unknown_names(["toy", "energy"], "toy")) == []
    monkeypatch.setattr(Toy, "is_combinable", False)
    assert len(list(registry.unknown_names(["toy", "energy"], "toy"))) == 1


def nearest(name: str, known: list[str]) -> str:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]


def test_a_candidate_by_default_can_be_a_member() -> None:
    for frozen in (False, True):
        assert set(candidates_of("auto", is_frozen=frozen)) <= set(combinable())
    assert set(MEMBERS_OF_FEW_IMAGES) <= set(combinable())


def test_the_lists_of_build_bundle_agree_with_the_detectors() -> None:
    assert list(build_bundle.GAUSSIANS) == stored_in("gaussians")
    assert stored_in("head") == [build_bundle.HEAD]
    needing = {name for name, kind in DETECTORS.items() if kind.needs_autoencoder}
    assert needing == build_bundle.CODED


def keywords_of(kind: type[Detector]) -> set[str]:
    if issubclass(kind, Unfitted):
        return {field.name for field in fields(kind) if field.default is MISSING}
    parameters = inspect.signature(kind.fit).parameters.values()
    required = [one for one in parameters if one.default is inspect.Parameter.empty]
    return {one.name for one in required if one.kind is inspect.Parameter.KEYWORD_ONLY}


def test_the_keys_of_each_detectors_section_are_the_required_keywords_of_its_fit() -> None:
    keywords = {name: keywords_of(DETECTORS[name]) for name in stored_in("detectors")}
    keywords["code_iforest"].remove("seed")  # a parameter of the whole pipeline
    sections = {
        name: set(getattr(field.annotation, "model_fields"))  # noqa: B009  (a class, to mypy)
        for name, field in DetectorsSection.model_fields.items()
    }
    assert sections == {name: names for name, names in keywords.items() if names}
