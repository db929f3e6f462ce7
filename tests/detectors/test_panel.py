"""The panel's detectors against pytorch-ood, or a derivation in NumPy, on the same features."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_ood
import torch
from pytorch_ood import detector as theirs
from scipy.special import logsumexp, softmax
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from belong.detectors.base import Training
from belong.detectors.panel import PANEL, Fitted, Mahalanobis, views_of
from belong.detectors.registry import DETECTORS
from belong.runtime.errors import InputError
from belong.runtime.storage import load_arrays, save_arrays

N, D, C = 900, 24, 5
AGREED = 0.001  # AUROC


class Data:
    """A classifier's features after a ReLU, of training rows, normal rows and anomalies."""

    def __init__(self) -> None:
        rng = torch.Generator().manual_seed(0)
        centers = 2.0 * torch.randn(C, D, generator=rng)
        self.labels = torch.arange(C).repeat(N // C)
        noise = torch.randn(3, N, D, generator=rng)
        self.features = (centers[self.labels] + noise[0]).relu()
        normal = (centers[self.labels] + noise[1]).relu()
        anomaly = (0.7 * centers[self.labels] - 0.4 * centers.roll(1, 0)[self.labels]).relu()
        self.tested = torch.cat((normal, (anomaly + 1.3 * noise[2]).relu()))
        self.is_anomaly = np.repeat([0, 1], N)
        self.weight = 0.15 * (centers - centers.mean(dim=0)) + 0.05 * torch.randn(
            C, D, generator=rng
        )
        self.bias = 0.1 * torch.randn(C, generator=rng)
        self.head = nn.Linear(D, C)
        self.head.weight.data, self.head.bias.data = self.weight, self.bias

    def logits(self, features: Tensor) -> Tensor:
        return features @ self.weight.T + self.bias

    def auroc(self, scores: object) -> float:
        return float(roc_auc_score(self.is_anomaly, np.asarray(scores)))

    def fitted(self, name: str, **parameters: Any) -> Fitted:
        return PANEL[name].fit(
            self.features, self.labels, weight=self.weight, bias=self.bias,
            hidden=self.features, maps=self.features, **parameters,
        )  # fmt: skip

    def scores(self, name: str, **parameters: Any) -> np.ndarray:
        fitted = self.fitted(name, **parameters)
        return fitted.score(self.tested, hidden=self.tested, maps=self.tested)


@pytest.fixture(scope="module")
def data() -> Data:
    return Data()


def features_of(one: Any, data: Data) -> Tensor:
    one.fit_features(data.features, data.labels)
    scores: Tensor = one.predict_features(data.tested)
    return scores.detach()


def logits_of(one: Any, data: Data) -> Tensor:
    if hasattr(one, "fit_logits"):
        one.fit_logits(data.logits(data.features), data.labels)
    scores: Tensor = one.predict_logits(data.logits(data.tested))
    return scores.detach()


def maps_of(one: Any, data: Data) -> Tensor:
    if hasattr(one, "fit_feature_maps"):
        one.fit_feature_maps(data.features[:, :, None, None], data.labels)
    scores: Tensor = one.predict_feature_maps(data.tested[:, :, None, None])
    return scores.detach()


def flat(data: Data) -> nn.Module:
    return nn.Sequential(nn.Flatten(), data.head)


def odin(data: Data) -> Tensor:
    one = theirs.ODIN(nn.Identity(), eps=0.0)
    scores: Tensor = one.predict(data.logits(data.tested).double())
    return scores


def gradnorm(data: Data) -> Tensor:
    one = theirs.GradNorm(data.head, param_filter=lambda name: name == "weight")
    one.to("cpu")
    scores: Tensor = one.predict(data.tested)
    return scores


def gram(data: Data) -> Tensor:
    layer = nn.Identity()
    one = theirs.Gram(data.head, [layer, layer, layer], num_classes=C, num_poles_list=range(1, 6))
    pairs = torch.utils.data.TensorDataset(data.features, data.labels)
    one.to("cpu")
    torch.manual_seed(0)
    loader_generator = torch.Generator()  # else the loader draws from the one that splits the rows
    one.fit(torch.utils.data.DataLoader(pairs, batch_size=N, generator=loader_generator))
    scores: Tensor = one.predict(data.tested)
    return scores


def residual(data: Data) -> Tensor:
    one = theirs.ViM(None, 12, data.weight, data.bias)
    one.fit_features(data.features, data.labels)
    assert one.principal_subspace is not None
    left_out: Tensor = ((data.tested - one.u) @ one.principal_subspace).norm(dim=1)
    return left_out


def on_directions(one: Any, data: Data) -> Tensor:
    one.fit_features(nn.functional.normalize(data.features), data.labels)
    scores: Tensor = one.predict_features(nn.functional.normalize(data.tested))
    return scores


Reference = Callable[[Data], Tensor]
THEIRS: dict[str, tuple[Reference, dict[str, Any]]] = {
    "msp": (lambda data: logits_of(theirs.MaxSoftmax(None), data), {}),
    "max_logit": (lambda data: logits_of(theirs.MaxLogit(None), data), {}),
    "energy": (lambda data: logits_of(theirs.EnergyBased(None), data), {}),
    "entropy": (lambda data: logits_of(theirs.Entropy(None), data), {}),
    "gen": (lambda data: logits_of(theirs.GEN(None, gamma=0.1, M=C), data), {}),
    "temperature_scaling": (lambda data: logits_of(theirs.TemperatureScaling(None), data), {}),
    "odin_no_step": (odin, {}),
    "kl_matching": (lambda data: logits_of(theirs.KLMatching(None), data), {}),
    "openmax": (lambda data: logits_of(theirs.OpenMax(None, tailsize=20), data), {}),
    "react": (lambda data: maps_of(theirs.ReAct(None, flat(data)), data), {}),
    "vra": (lambda data: maps_of(theirs.VRA(None, flat(data)), data), {}),
    "ash_p": (lambda data: maps_of(theirs.ASH(None, flat(data), "ash-p", 0.6), data), {}),
    "ash_b": (lambda data: maps_of(theirs.ASH(None, flat(data), "ash-b", 0.65), data), {}),
    "ash_s": (lambda data: maps_of(theirs.ASH(None, flat(data), "ash-s", 0.9), data), {}),
    "scale": (lambda data: maps_of(theirs.SCALE(None, flat(data), 0.85), data), {}),
    "lts": (lambda data: theirs.LTS(None, data.head).predict_features(data.tested), {}),
    "dice": (lambda data: features_of(theirs.DICE(None, data.weight, data.bias, 0.7), data), {}),
    "she": (lambda data: features_of(theirs.SHE(None, data.head), data), {}),
    "nnguide": (lambda data: features_of(theirs.NNGuide(None, data.head), data), {}),
    "fdbd": (lambda data: features_of(theirs.fDBD(None, data.head), data), {}),
    "nci": (lambda data: features_of(theirs.NCI(None, data.head, alpha=0.0001), data), {}),
    "gradnorm": (gradnorm, {}),
    "pnml": (lambda data: features_of(theirs.PNML(None, data.head), data), {}),
    "vim": (lambda data: features_of(theirs.ViM(None, 12, data.weight, data.bias), data), {}),
    "residual": (residual, {}),
    "mahalanobis_tied": (lambda data: features_of(theirs.Mahalanobis(None), data), {}),
    "mahalanobis_plus": (lambda data: on_directions(theirs.Mahalanobis(None), data), {}),
    "relative_mahalanobis": (lambda data: features_of(theirs.RMD(None), data), {}),
    "relative_mahalanobis_plus": (lambda data: on_directions(theirs.RMD(None), data), {}),
    "gmm": (lambda data: features_of(theirs.GMM(None), data), {}),
    "feature_knn": (lambda data: features_of(theirs.KNN(None, k=50), data), {}),
    "gram": (gram, {"powers": 5}),
}


@pytest.mark.pipeline
@pytest.mark.parametrize("name", THEIRS)
def test_a_detector_agrees_with_pytorch_ood(data: Data, name: str) -> None:
    reference, parameters = THEIRS[name]
    ours, expected = data.auroc(data.scores(name, **parameters)), data.auroc(reference(data))
    assert 0.05 < expected < 0.99999  # a ranking that says something
    assert abs(ours - expected) <= AGREED, (ours, expected)


def test_vra_p_is_the_energy_of_the_features_between_two_quantiles(data: Data) -> None:
    x, train = data.tested.double().numpy(), data.features.double().numpy()
    low, high = np.quantile(train, 0.6), np.quantile(train, 0.95)
    shaped = np.where(x < low, 0, np.minimum(x, high))
    logits = shaped @ data.weight.double().numpy().T + data.bias.double().numpy()
    np.testing.assert_allclose(data.scores("vra_p"), -logsumexp(logits, axis=1), rtol=1e-4)


def test_weiper_msp_averages_the_largest_probability_over_layers_at_one_distance(
    data: Data,
) -> None:
    arrays = data.fitted("weiper_msp").detector.arrays()
    weights, weight = arrays["weights"].astype(float), data.weight.double().numpy()
    away = np.linalg.norm(weights - weight, axis=2)
    np.testing.assert_allclose(
        away, np.broadcast_to(2.1 * np.linalg.norm(weight, axis=1), (100, C)), rtol=1e-5
    )
    logits = np.einsum("nd,rcd->rnc", data.tested.double().numpy(), weights) + arrays["bias"]
    expected = -softmax(logits, axis=2).max(axis=2).mean(axis=0)
    np.testing.assert_allclose(data.scores("weiper_msp"), expected, rtol=1e-4)


def test_the_panel_has_every_detector_of_features_and_logits_of_pytorch_ood() -> None:
    bases = (pytorch_ood.api.FeaturesDetector, pytorch_ood.api.LogitsDetector)
    exported = {name for name in theirs.__all__ if isinstance(one := getattr(theirs, name), type)
           and issubclass(one, bases)}  # fmt: skip
    # A detector of text and images; one whose weights a training of its own learns; one that needs
    # the activations of units.
    foreign = {"MCM", "WeightedEBO", "NACUE"}
    ours = {
        "fDBD": "fdbd", "KNN": "feature_knn", "Mahalanobis": "mahalanobis_tied", "GEN": "gen",
        "MaxSoftmax": "msp", "MaxLogit": "max_logit", "EnergyBased": "energy", "ViM": "vim",
        "RMD": "relative_mahalanobis", "TemperatureScaling": "temperature_scaling",
        "KLMatching": "kl_matching",
    }  # fmt: skip
    names = {ours.get(name, name.lower()) for name in exported - foreign}
    assert names - set(THEIRS) == set()


@pytest.mark.parametrize("name", PANEL)
def test_every_detector_is_the_same_when_it_is_loaded(
    data: Data, name: str, tmp_path: Path
) -> None:
    fitted = data.fitted(name)
    save_arrays(tmp_path / "arrays", fitted.detector.arrays())
    loaded = replace(
        fitted, detector=PANEL[name].kind.from_arrays(load_arrays(tmp_path / "arrays"))
    )
    few = data.tested[::7]
    first, second = (one.score(few, hidden=few, maps=few) for one in (fitted, loaded))
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", PANEL)
def test_a_row_has_the_same_score_alone_and_if_its_features_are_all_0(
    data: Data, name: str
) -> None:
    fitted = data.fitted(name)
    few = torch.cat((data.tested[:3], torch.zeros(1, D)))
    together = fitted.score(few, hidden=few, maps=few)
    alone = [fitted.score(row[None], hidden=row[None], maps=row[None])[0] for row in few]
    assert np.isfinite(together).all()
    np.testing.assert_allclose(together, alone, rtol=2e-5, atol=1e-5)


def test_three_lines_fit_and_score_arrays_and_tensors_of_any_type(data: Data) -> None:
    features, labels, new = data.features.numpy(), data.labels.numpy(), data.tested.numpy()
    expected = Mahalanobis.fit(features, labels).score(new)
    half = Mahalanobis.fit(features.astype(np.float16), labels.astype(np.uint8))
    np.testing.assert_allclose(half.score(data.tested.half()), expected, rtol=0.02)
    wide = Mahalanobis.fit(np.asfortranarray(features.astype(">f8")), labels)
    np.testing.assert_array_equal(wide.score(data.tested.double().requires_grad_()), expected)
    # The last bits of a row go by its place among the others, see `Detector.score`.
    np.testing.assert_allclose(wide.score(new[::-1]), expected[::-1], rtol=1e-6)


def test_labels_need_not_start_at_0_where_there_are_no_logits(data: Data) -> None:
    relabeled = Mahalanobis.fit(data.features, 3 * data.labels + 7)
    expected = Mahalanobis.fit(data.features, data.labels)
    np.testing.assert_array_equal(relabeled.score(data.tested), expected.score(data.tested))


X, Y = torch.rand(12, 3), torch.arange(12) % 2
W, B = torch.rand(2, 3), torch.rand(2)
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("energy", {}, "expected one of features, logits, hidden, maps, got none"),
    ("energy", {"features": X}, "energy needs logits"),
    ("mahalanobis", {"features": X}, "mahalanobis needs labels"),
    ("react", {"features": X, "weight": W}, "bias: expected weight and bias together"),
    ("react", {"features": X, "weight": W, "bias": B[:1]}, "bias: expected 2 values"),
    ("react", {"features": X, "weight": W[:, :2], "bias": B}, "features: expected 2 columns"),
    ("feature_knn", {"features": X[0]}, r"expected shape \(n, d\) .*, got \(3,\)"),
    ("feature_knn", {"features": X[:0]}, r"expected shape \(n, d\) .*, got \(0, 3\)"),
    ("feature_knn", {"features": X.log() - X.log()[:1] / 0}, "NaN or infinity in row 0"),
    ("feature_knn", {"features": np.array([["a"]])}, "expected numbers, got values of type str"),
    ("feature_knn", {"features": X + 1j}, "features: expected real numbers"),
    ("feature_knn", {"features": X, "logits": X[:5]}, "expected equal numbers of rows, got 12 of"),
    ("energy", {"logits": X[:, :1]}, "logits: expected at least 2 columns"),
    ("mahalanobis", {"features": X, "labels": ["a"] * 12}, "got text or objects"),
    ("mahalanobis", {"features": X, "labels": Y / 2}, "labels: expected whole numbers of"),
    ("mahalanobis", {"features": X, "labels": -Y}, "labels: expected whole numbers .* got -1"),
    ("mahalanobis", {"features": X, "labels": Y[:3]}, r"labels: expected shape \(12,\)"),
    ("she", {"features": X, "labels": 3 * Y, "logits": X}, "labels: expected 0 to 2"),
    ("relative_mahalanobis", {"features": X, "labels": 0 * Y}, "needs labels of at least two"),
    ("fdbd", {"features": X, "logits": X[:, :2], "weight": W, "bias": B}, "logits that differ"),
    ("fdbd", {"features": X, "logits": X, "weight": W, "bias": B}, "logits: expected 2 columns"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "inputs", "message"), WRONG)
def test_a_wrong_input_is_refused_in_one_line(
    name: str, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        PANEL[name].fit(**inputs)
    assert "\n" not in str(error.value)


def test_new_rows_of_another_width_are_refused(data: Data) -> None:
    with pytest.raises(InputError, match="features: expected 24 columns"):
        Mahalanobis.fit(data.features, data.labels).score(data.tested[:, 1:])


@pytest.mark.parametrize("covariance", ["tied", "shrunk"])
@pytest.mark.parametrize("name", ["mahalanobis", "mahalanobis_min"])
def test_mahalanobis_to_many_classes_is_that_of_the_pipeline(
    data: Data, name: str, covariance: str
) -> None:
    ours = data.scores(name, covariance=covariance)
    training = Training(
        views_of({"features": data.features}), data.labels, list("abcde"), data.weight, data.bias
    )
    options = {"quantile": 0.975, "ridge": 0.001, "covariance": covariance}
    fitted = DETECTORS[name].fit(training, **options)
    expected = fitted.score(views_of({"features": data.tested}))
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


RNG = np.random.default_rng(0)
HARD = {
    "equal rows": np.ones((60, 4)),
    "rows of 0": np.zeros((60, 4)),
    "values that overflow when squared": 1e30 * RNG.normal(size=(60, 4)),
    "values that vanish when squared": 1e-30 * RNG.normal(size=(60, 4)),
    "a dead feature": RNG.normal(size=(60, 4)) * [1, 1, 1, 0],
    "equal features": np.repeat(RNG.normal(size=(60, 2)), 2, axis=1),
    "one feature": RNG.normal(size=(60, 1)),
    "one row of each class": RNG.normal(size=(3, 4)),
    "more features than rows": RNG.normal(size=(30, 200)),
}


@pytest.mark.parametrize("kind", HARD)
def test_hard_features_give_finite_scores_or_are_refused_in_one_line(kind: str) -> None:
    rows = HARD[kind].astype(np.float32)
    d = rows.shape[1]
    weight, labels = RNG.normal(size=(3, d)), np.arange(len(rows)) % 3
    new = np.concatenate([rows[:3], 1e25 * RNG.normal(size=(2, d)), np.zeros((1, d))])
    fitted, refusals = 0, []
    for method in PANEL.values():
        try:
            one = method.fit(rows, labels, weight=weight, bias=np.zeros(3), hidden=rows, maps=rows)
        except InputError as error:
            refusals.append(str(error))
            continue
        fitted += 1
        assert np.isfinite(one.score(new, hidden=new, maps=new)).all(), method.name
    assert fitted >= 15
    assert not [text for text in refusals if "\n" in text]
