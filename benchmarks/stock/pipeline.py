"""Run the experiment as one plain script: MNIST against Fashion-MNIST, stock libraries.

`python -m benchmarks.stock.pipeline DIGITS FASHION OUT [--lambda L] [--seed S] [--quick]` trains
both networks, fits and scores the detectors, and writes the accuracy and the AUROC of each as
JSON. It has no held-out thresholds, no sets of unseen anomalies, no figures and no report.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from pytorch_ood.detector import RMD, EnergyBased, Mahalanobis, MaxLogit, MaxSoftmax, ViM
from sklearn.covariance import EmpiricalCovariance
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import BernoulliNB
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from benchmarks.stock import features as stock_features
from benchmarks.stock import train as stock_train
from benchmarks.stock.network import Autoencoder, LeNet

Views = list[np.ndarray]  # features, logits, hidden layer, maps, codes, reconstruction errors


def train_with_centers(root: Path, *, weight: float, epochs: int, seed: int) -> LeNet:
    """Train LeNet with cross entropy and the center loss."""
    torch.manual_seed(seed)
    batches = stock_train.loader(root, train=True, batch_size=128, shuffle=True)
    network = LeNet()
    optimizer = torch.optim.SGD(
        network.parameters(), lr=0.05, momentum=0.9, weight_decay=0.0005, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.05, total_steps=epochs * len(batches), pct_start=0.2, cycle_momentum=False
    )
    centers = torch.zeros(10, 84)
    for _ in range(epochs):
        for images, labels in batches:
            features, logits = network(images)
            away = features - centers[labels]
            loss = F.cross_entropy(logits, labels) + weight / 2 * away.square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            for label in labels.unique():
                of_class = away.detach()[labels == label]
                centers[label] += 0.5 * of_class.sum(0) / (1 + len(of_class))
    return network


def train_autoencoder(root: Path, *, epochs: int) -> Autoencoder:
    """Train the autoencoder on the same images."""
    batches = stock_train.loader(root, train=True, batch_size=256, shuffle=True)
    autoencoder = Autoencoder()
    start_from_the_mean(autoencoder, stock_train.dataset(root, train=True).data)
    optimizer = torch.optim.Adam(autoencoder.parameters(), lr=0.008)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 0.008, total_steps=epochs * len(batches), cycle_momentum=False
    )
    for _ in range(epochs):
        for images, _labels in batches:
            _codes, errors = autoencoder(images * stock_train.STD + stock_train.MEAN)
            optimizer.zero_grad()
            errors.mean().backward()
            optimizer.step()
            schedule.step()
    return autoencoder


def start_from_the_mean(autoencoder: Autoencoder, images: Tensor) -> None:
    """Draw weights for sigmoid units (Glorot, Bengio 2010), and let it draw the mean image."""
    for layer, gain in ((autoencoder.encoder, 4.0), (autoencoder.decoder, 1.0)):
        nn.init.xavier_uniform_(layer.weight, gain=gain)
        nn.init.zeros_(layer.bias)
    mean = images.flatten(1).double().mean(dim=0) / 255
    autoencoder.decoder.bias.data.copy_(mean.logit(eps=0.001))


def distances(train: np.ndarray, labels: np.ndarray, ridge: float) -> list[Callable[..., Any]]:
    """Return for each class the function that gives distances in thresholds of it."""
    functions: list[Callable[..., Any]] = []
    for label in range(10):
        of_class = train[labels == label].astype(np.float64)
        model = EmpiricalCovariance().fit(of_class)
        spread = np.trace(model.covariance_) / of_class.shape[1]
        model.precision_ = np.linalg.inv(
            model.covariance_ + ridge * spread * np.eye(of_class.shape[1])
        )
        theta = np.quantile(np.sqrt(model.mahalanobis(of_class)), 0.975)
        functions.append(lambda x, m=model, t=theta: np.sqrt(m.mahalanobis(x)) / t)
    return functions


def nearest(train: np.ndarray, k: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function that gives the distance to the k-th nearest training vector."""
    model = NearestNeighbors(n_neighbors=k, algorithm="brute", n_jobs=-1).fit(train)
    return lambda x: model.kneighbors(x)[0][:, -1]


def scorers(
    network: LeNet, train: Views, labels: np.ndarray, head_anomalies: np.ndarray, *, trees: int
) -> dict[str, Callable[[Views], Any]]:
    """Fit every detector; return its score of views, higher for anomalies."""
    features, _, hidden, maps, codes, _ = train
    as_tensor = torch.from_numpy
    tied = Mahalanobis(None).fit_features(as_tensor(features), as_tensor(labels))
    relative = RMD(None).fit_features(as_tensor(features), as_tensor(labels))
    weight, bias = network.classifier.weight.detach(), network.classifier.bias.detach()
    vim = ViM(None, 42, weight, bias).fit_features(as_tensor(features), as_tensor(labels))
    feature_knn, code_knn = nearest(unit(features), 50), nearest(codes, 5)
    forest = IsolationForest(n_estimators=trees, max_samples=256, random_state=0, n_jobs=-1)
    forest.fit(codes)
    patterns = BernoulliNB().fit(active(train), labels)
    scaler = StandardScaler().fit(np.concatenate((features, head_anomalies)))
    head = MLPClassifier((256, 256), batch_size=1024, max_iter=20, n_iter_no_change=20)
    head.fit(
        scaler.transform(np.concatenate((features, head_anomalies))),
        np.repeat([0, 1], [len(features), len(head_anomalies)]),
    )
    at_features = distances(features, labels, 0.001)
    at_hidden, at_maps = distances(hidden, labels, 0.01), distances(maps, labels, 0.01)
    return {
        "mahalanobis": lambda v: np.min([of(v[0]) for of in at_features], axis=0),
        "mahalanobis_hidden": lambda v: np.min([of(v[2]) for of in at_hidden], axis=0),
        "mahalanobis_maps": lambda v: np.min([of(v[3]) for of in at_maps], axis=0),
        "mahalanobis_tied": lambda v: tied.predict_features(as_tensor(v[0])),
        "relative_mahalanobis": lambda v: relative.predict_features(as_tensor(v[0])),
        "vim": lambda v: vim.predict_features(as_tensor(v[0])),
        "msp": lambda v: MaxSoftmax.score(as_tensor(v[1])),
        "max_logit": lambda v: MaxLogit.score(as_tensor(v[1])),
        "energy": lambda v: EnergyBased.score(as_tensor(v[1])),
        "feature_knn": lambda v: feature_knn(unit(v[0])),
        "code_knn": lambda v: code_knn(v[4]),
        "code_iforest": lambda v: -forest.score_samples(v[4]),
        "active_nodes": lambda v: -patterns.predict_joint_log_proba(active(v)).max(axis=1),
        "reconstruction": lambda v: v[5],
        "mlp_head": lambda v: head.predict_proba(scaler.transform(v[0]))[:, 1],
    }


def unit(x: np.ndarray) -> np.ndarray:
    """Return the vectors at length 1."""
    lengths: np.ndarray = np.linalg.norm(x, axis=1, keepdims=True)
    normalized: np.ndarray = x / np.maximum(lengths, 1e-12)
    return normalized


def active(views: Views) -> np.ndarray:
    """Return which nodes of both hidden layers are active."""
    return np.concatenate((views[2] > 0, views[0] > 0), axis=1)


def main() -> None:
    """Run all, and write the numbers."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("digits", type=Path)
    parser.add_argument("fashion", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--lambda", type=float, default=1.0, dest="weight")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    epochs, code_epochs, trees = (8, 8, 20) if options.quick else (12, 15, 2000)
    network = train_with_centers(
        options.digits, weight=options.weight, epochs=epochs, seed=options.seed
    )
    autoencoder = train_autoencoder(options.digits, epochs=code_epochs)
    accuracy = stock_train.accuracy(network, options.digits)
    train, normal = (
        stock_features.extract(network, autoencoder, options.digits, train=part)
        for part in (True, False)
    )
    normals, anomalies = (
        stock_features.extract(network, autoencoder, options.fashion, train=part)
        for part in (True, False)
    )
    labels = stock_train.dataset(options.digits, train=True).targets.numpy()
    aurocs = {
        name: auroc(np.asarray(score(normal)), np.asarray(score(anomalies)))
        for name, score in scorers(network, train, labels, normals[0], trees=trees).items()
    }
    options.out.write_text(json.dumps({"accuracy": accuracy} | aurocs, indent=2), encoding="utf-8")


def auroc(normal: np.ndarray, anomalies: np.ndarray) -> float:
    """Return the area under the ROC curve of the scores."""
    is_anomaly = np.repeat([False, True], [len(normal), len(anomalies)])
    return float(roc_auc_score(is_anomaly, np.concatenate((normal, anomalies))))


if __name__ == "__main__":
    main()
