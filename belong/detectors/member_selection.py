"""Select the members of `combined`: detectors that recognize images of left-out classes.

A detector that is blind on the images at hand adds noise to the sum of the members. Whether it is
blind shows on the normal images alone: each class in turn is left out, the detector is fitted to
the training images of the others, and held-out images are scored, of which those of the class left
out are the anomalies (as Scheirer et al., Toward Open Set Recognition, TPAMI 2013, measure open
sets). No image of the test, and no anomaly, has a part in the choice.

The layer above a frozen backbone is trained again without the class, which takes seconds. A whole
network is not: it has seen the class, and its layers look better than they are. The best member
is no measure for the others then, and the rule finds only the blind ones.

A member enters if its AUROC, the mean over the classes left out, is

- at least 0.7 times as far above 0.5 as that of the best member (frozen backbones): of two
  detectors whose scores have a correlation of r on normal images, the worse one lowers the sum if
  it separates less than sqrt(2 (1 + r)) - 1 times as well as the better one, which is 0.73 for
  detectors that share a network and have r = 0.5, and 0.41 for independent ones;
- at least 0.6; and
- above 0.5 by more than chance: the lower end of a one-sided interval of 95 %, by Hanley and
  McNeil, The Meaning and Use of the Area under a ROC Curve, Radiology 1982, eq. (1) and (2).

If no member does, all stay.

reports/photos has what comes of it on CIFAR-10 in three parts of classes, beside the best single
detector. There, classes left out of the second part are nearer than its anomalies are, and do not
show which member is best on those. The share was 0.5 before these numbers were seen; classes left
out and Fashion-MNIST in parts hardly tell the two shares apart (0.873 and 0.872; 0.964 and 0.964).
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from belong.calibration.sample_size import FITTING
from belong.detectors.base import Detector, Training
from belong.detectors.combined import Member
from belong.detectors.fit import sections_of, training_of
from belong.detectors.registry import DETECTORS, stored_in
from belong.detectors.score_parts import HELD_OUT
from belong.models.activations import Views
from belong.models.backbones.networks import FrozenBackbone
from belong.models.train_classifier import TrainingOptions, train_classifier
from belong.parameters import DetectorsSection, MahalanobisSection
from belong.runtime.errors import InputError
from belong.runtime.progress import bar
from belong.runtime.text import say

Fit = Callable[[Training], Detector]
# What a network without some classes makes of images: the views of the training images and of the
# held-out ones, and the weight and bias of its last layer.
Seen = tuple[Views, Views, Tensor, Tensor]

FOLDS = 10  # classes are left out one by one; of more than these, several at once
IMAGES = 500  # of a class, that the detectors of a fold are fitted to
STEPS = 200  # of the training of a layer above a frozen backbone
LEAST_AUROC, SHARE_OF_BEST = 0.6, 0.7
NORMAL_95 = 1.645  # the 95 % quantile of the normal law


@dataclass(frozen=True)
class Retraining:
    """How the layer above a frozen backbone is trained without some classes.

    Attributes:
        options: those of the classifier's own training, of which no more than STEPS are run.
        seed: draws the weights, and orders the images.
    """

    options: TrainingOptions
    seed: int


def select_members(
    views: Mapping[str, np.ndarray],
    class_names: list[str],
    *,
    weight: np.ndarray,
    bias: np.ndarray,
    candidates: Collection[str],
    options: DetectorsSection,
    gaussians: MahalanobisSection,
    seed: int,
    retraining: Retraining | None,
) -> dict[str, Member]:
    """Return for each candidate whether it enters `combined`, see above.

    Args:
        views: as of `fit_detectors`, and `normal/calibration/VIEW` and its labels.
        class_names: and
        weight: and
        bias: as of `fit_detectors`.
        candidates: names of detectors.
        options: as of `fit_detectors`.
        gaussians: the parameters of `mahalanobis`.
        seed: draws the training images, where a class has many, and what `fit_detectors` draws.
        retraining: of the layer above a frozen backbone; None for a network that was trained whole.
    """
    labels = f"{HELD_OUT}/labels"
    of_gaussians = dict.fromkeys(stored_in("gaussians"), gaussians.model_dump())
    sections = sections_of(options, seed) | of_gaussians
    members = select(
        training_of(views, class_names, weight, bias),
        Views.from_arrays(views, HELD_OUT).rows(torch.arange(len(views[labels]))[FITTING]),
        torch.from_numpy(views[labels][FITTING]),
        {name: partial(DETECTORS[name].fit, **sections.get(name, {})) for name in candidates},
        seed=seed,
        retraining=retraining,
    )
    for name, member in members.items():
        if member.left_out:
            say(f"combined leaves out {name}: {member.left_out}")
    return members


def select(
    training: Training,
    held_out: Views,
    labels: Tensor,
    fits: Mapping[str, Fit],
    *,
    seed: int,
    retraining: Retraining | None,
) -> dict[str, Member]:
    """Return for each detector of `fits`, what fits it, whether it enters.

    Args:
        training: of the n training images, c classes.
        held_out: m images that nothing was fitted to, and that set no threshold.
        labels: (m,) int64, their classes.
        fits: name -> fits the detector.
        seed: draws the training images, where a class has many.
        retraining: how the layer above a frozen backbone is trained; None for a network all of
            which was trained, which keeps what it knows of the class.
    """
    training = _fewer(training, seed)
    aurocs: dict[str, list[tuple[float, float]]] = {name: [] for name in fits}
    c = len(training.class_names)
    # A network needs two classes to be trained to.
    again = retraining if c > 2 else None
    folds = np.array_split(np.arange(c), min(c, FOLDS))
    with bar(len(folds), "leave classes out", "fold") as progress:
        for classes in folds:
            is_anomaly = np.isin(labels.numpy(), classes)
            if is_anomaly.any() and not is_anomaly.all():
                rest, tested = _without(training, held_out, classes, again)
                for name, fit in fits.items():
                    aurocs[name] += _aurocs(fit, rest, tested, is_anomaly)
            progress.update()
    return decide({name: _mean(folds) for name, folds in aurocs.items()}, is_fair=again is not None)


def decide(measured: Mapping[str, Member], *, is_fair: bool) -> dict[str, Member]:
    """Say of each member whether it enters.

    `is_fair` says that the network, too, has not seen the class left out, so that the members can
    be compared with each other.
    """
    best = max((one.auroc for one in measured.values() if one.auroc is not None), default=0.5)
    limit = max(LEAST_AUROC, 0.5 + SHARE_OF_BEST * (best - 0.5) if is_fair else 0)
    decided = {name: replace(one, left_out=_why(one, limit)) for name, one in measured.items()}
    if all(one.left_out for one in decided.values()):
        return dict(measured)
    return decided


def auroc_with_error(normal: np.ndarray, anomaly: np.ndarray) -> tuple[float, float]:
    """Return the AUROC of scores (n,) and (m,), and its standard error by Hanley and McNeil."""
    n, m = len(normal), len(anomaly)
    ranks = rankdata(np.concatenate((normal, anomaly)))
    auroc = float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))
    both_higher, both_lower = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc) + (m - 1) * (both_higher - auroc**2)
    variance += (n - 1) * (both_lower - auroc**2)
    return auroc, float(np.sqrt(max(variance, 0) / (n * m)))


def _why(member: Member, limit: float) -> str | None:
    if member.auroc is None or member.low is None:
        return None
    if member.auroc < limit:
        return f"AUROC {member.auroc:.3f} on classes left out, below {limit:.3f}"
    if member.low <= 0.5:
        return f"AUROC {member.auroc:.3f} on classes left out may be chance: few images held out"
    return None


def _mean(folds: list[tuple[float, float]]) -> Member:
    if not folds:
        return Member(None, None)
    aurocs, errors = np.array(folds).T
    mean = float(aurocs.mean())
    low = mean - NORMAL_95 * float(np.sqrt(np.square(errors).sum())) / len(folds)
    return Member(round(mean, 4), round(low, 4))


def _aurocs(
    fit: Fit, rest: Training, tested: Views, is_anomaly: np.ndarray
) -> Iterator[tuple[float, float]]:
    """Yield AUROC and error of a fold; none where the images that are left are too few to fit."""
    try:
        scores = fit(rest).score(tested).numpy()
    except InputError:
        return
    yield auroc_with_error(scores[~is_anomaly], scores[is_anomaly])


def _fewer(training: Training, seed: int) -> Training:
    """Return at most IMAGES training images of each class, in their order."""
    rng = np.random.default_rng([seed, 3])  # another stream than those of the parts
    labels = training.labels.numpy()
    drawn = [
        rng.permutation(np.flatnonzero(labels == label))[:IMAGES]
        for label in range(len(training.class_names))
    ]
    rows = torch.from_numpy(np.sort(np.concatenate(drawn)))
    return replace(training, views=training.views.rows(rows), labels=training.labels[rows])


def _without(
    training: Training, held_out: Views, classes: np.ndarray, retraining: Retraining | None
) -> tuple[Training, Views]:
    """Return the training images of the other classes, and what is seen of the held-out ones."""
    kept = np.setdiff1d(np.arange(len(training.class_names)), classes)
    rows = torch.from_numpy(np.isin(training.labels.numpy(), kept))
    labels = torch.from_numpy(np.searchsorted(kept, training.labels[rows].numpy()))
    views = training.views.rows(rows)
    if retraining is not None:
        seen = _retrained(views, labels, held_out, len(kept), retraining)
    else:
        seen = (
            replace(views, logits=views.logits[:, kept]),
            replace(held_out, logits=held_out.logits[:, kept]),
            training.weight[kept],
            training.bias[kept],
        )
    views, tested, weight, bias = seen
    names = [training.class_names[label] for label in kept]
    return Training(views, labels, names, weight, bias), tested


def _retrained(
    views: Views, labels: Tensor, held_out: Views, classes: int, retraining: Retraining
) -> Seen:
    """Train the layer above a frozen backbone, whose last vectors are `hidden`, to some classes."""
    vectors, options = views.hidden, retraining.options
    steps_of_a_pass = -(-len(vectors) // options.batch_size)
    passes = max(1, min(options.epochs, STEPS // steps_of_a_pass))
    generator = torch.Generator().manual_seed(retraining.seed)
    network = FrozenBackbone(
        classes=classes, embedding=options.embedding, early=0, middle=0, last=vectors.shape[1]
    )
    network.initialize(vectors, generator)
    train_classifier(
        network,
        vectors,
        labels,
        (vectors[:1], labels[:1]),  # measured after each pass, and of no use here
        options=options.model_copy(update={"epochs": passes}),
        generator=generator,
        description=None,
    )
    network.eval()

    def seen(views: Views) -> Views:
        features, logits = network(views.hidden)
        return replace(views, features=features, logits=logits)

    with torch.no_grad():
        last = network.classifier
        return seen(views), seen(held_out), last.weight.detach(), last.bias.detach()
