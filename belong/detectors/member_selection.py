"""Select the members of `combined`: detectors that recognize images of left-out classes.

A detector that does not work on the user's images adds noise to the sum of the members. Normal
images are sufficient to detect this. Each class in turn is left out: the detector is fitted to the
training images of the other classes, and scores held-out images; those of the class left out are
the anomalies (the evaluation of Scheirer et al., Toward Open Set Recognition, TPAMI 2013). Neither
test images nor anomalies influence the selection.

The layer above a frozen backbone is trained again without the class, which takes seconds. A network
that is trained as a whole is not trained again. It knows the class left out, and its layers look
better than they are. The best member then sets no standard for the others, and the rule excludes
only detectors that do not work at all.

A candidate becomes a member if its AUROC, the mean over the classes left out, is

- at least 0.7 times as far above 0.5 as that of the best candidate (frozen backbones only). If the
  scores of two detectors have the correlation r on normal images, the worse one makes the sum worse
  if it separates less than sqrt(2 (1 + r)) - 1 times as well as the better one. This factor is 0.73
  for detectors that share a network and have r = 0.5, and 0.41 for independent ones;
- at least 0.6; and
- significantly above 0.5: the lower end of a one-sided 95% interval (Hanley and McNeil, The
  Meaning and Use of the Area under a ROC Curve, Radiology 1982, eq. (1) and (2)).

If no candidate qualifies, all become members.

reports/photos has the results on three subsets of the classes of CIFAR-10, with those of the best
single detector. In the second subset, the classes left out are nearer than the anomalies, and do
not show which member is best for the anomalies. The factor was 0.5 before these numbers were known.
Classes left out and subsets of Fashion-MNIST hardly distinguish the two factors (0.873 and 0.872;
0.964 and 0.964).
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
# The outputs of a network that was trained without some classes: the views of the training images
# and of the held-out images, and the weight and bias of the last layer.
Outputs = tuple[Views, Views, Tensor, Tensor]

FOLDS = 10  # maximum number of folds; with more classes, a fold leaves out several classes
IMAGES = 500  # maximum number of training images per class in a fold
STEPS = 200  # maximum number of training steps of the layer above a frozen backbone
LEAST_AUROC, SHARE_OF_BEST = 0.6, 0.7
NORMAL_95 = 1.645  # 95% quantile of the normal distribution


@dataclass(frozen=True)
class Retraining:
    """The training of the layer above a frozen backbone without some classes.

    Attributes:
        options: the training options of the classifier; at most STEPS steps are run.
        seed: random seed of the weights and of the order of the images.
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
    """Decide for each candidate whether it becomes a member of `combined`, see above.

    Args:
        views: as for `fit_detectors`, with `normal/calibration/VIEW` and its labels.
        class_names: as for `fit_detectors`.
        weight: as for `fit_detectors`.
        bias: as for `fit_detectors`.
        candidates: names of detectors.
        options: as for `fit_detectors`.
        gaussians: the parameters of `mahalanobis`.
        seed: random seed of the samples of training images, and of `fit_detectors`.
        retraining: for the layer above a frozen backbone; None if the whole network is trained.
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
    """Decide for each detector of `fits` whether it becomes a member.

    Args:
        training: the n training images of c classes.
        held_out: m images that are not used for fitting, and set no threshold.
        labels: (m,) int64, their classes.
        fits: name -> function that fits the detector.
        seed: random seed of the samples of training images.
        retraining: for the layer above a frozen backbone; None if the whole network is trained,
            which is then not trained again.
    """
    training = _fewer(training, seed)
    aurocs: dict[str, list[tuple[float, float]]] = {name: [] for name in fits}
    c = len(training.class_names)
    # A classifier can only be trained with at least two remaining classes.
    again = retraining if c > 2 else None
    folds = np.array_split(np.arange(c), min(c, FOLDS))
    with bar(len(folds), "leave classes out", "fold") as progress:
        for classes in folds:
            is_anomaly = np.isin(labels.numpy(), classes)
            if is_anomaly.any() and not is_anomaly.all():
                remaining, tested = _without(training, held_out, classes, again)
                for name, fit in fits.items():
                    aurocs[name] += _aurocs(fit, remaining, tested, is_anomaly)
            progress.update()
    return decide({name: _mean(folds) for name, folds in aurocs.items()}, is_fair=again is not None)


def decide(measured: Mapping[str, Member], *, is_fair: bool) -> dict[str, Member]:
    """Decide for each candidate whether it becomes a member.

    `is_fair` means that the network was also trained without the class left out, so that candidates
    can be compared with the best one.
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
    fit: Fit, remaining: Training, tested: Views, is_anomaly: np.ndarray
) -> Iterator[tuple[float, float]]:
    """Yield AUROC and error of a fold; nothing if too few images remain to fit."""
    try:
        scores = fit(remaining).score(tested).numpy()
    except InputError:
        return
    yield auroc_with_error(scores[~is_anomaly], scores[is_anomaly])


def _fewer(training: Training, seed: int) -> Training:
    """Return at most IMAGES training images of each class, in their order."""
    rng = np.random.default_rng([seed, 3])  # independent of the streams of the split
    labels = training.labels.numpy()
    samples = [
        rng.permutation(np.flatnonzero(labels == label))[:IMAGES]
        for label in range(len(training.class_names))
    ]
    rows = torch.from_numpy(np.sort(np.concatenate(samples)))
    return replace(training, views=training.views.rows(rows), labels=training.labels[rows])


def _without(
    training: Training, held_out: Views, classes: np.ndarray, retraining: Retraining | None
) -> tuple[Training, Views]:
    """Return the training data without some classes, and the views of the held-out images."""
    remaining_classes = np.setdiff1d(np.arange(len(training.class_names)), classes)
    rows = torch.from_numpy(np.isin(training.labels.numpy(), remaining_classes))
    labels = torch.from_numpy(np.searchsorted(remaining_classes, training.labels[rows].numpy()))
    views = training.views.rows(rows)
    if retraining is not None:
        outputs = _retrained(views, labels, held_out, len(remaining_classes), retraining)
    else:
        outputs = (
            replace(views, logits=views.logits[:, remaining_classes]),
            replace(held_out, logits=held_out.logits[:, remaining_classes]),
            training.weight[remaining_classes],
            training.bias[remaining_classes],
        )
    views, tested, weight, bias = outputs
    names = [training.class_names[label] for label in remaining_classes]
    return Training(views, labels, names, weight, bias), tested


def _retrained(
    views: Views, labels: Tensor, held_out: Views, classes: int, retraining: Retraining
) -> Outputs:
    """Train the layer above a frozen backbone, whose embeddings are `hidden`, on some classes."""
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
        (vectors[:1], labels[:1]),  # validation images, which are not used here
        options=options.model_copy(update={"epochs": passes}),
        generator=generator,
        description=None,
    )
    network.eval()

    def views_of(views: Views) -> Views:
        features, logits = network(views.hidden)
        return replace(views, features=features, logits=logits)

    with torch.no_grad():
        last = network.classifier
        return views_of(views), views_of(held_out), last.weight.detach(), last.bias.detach()
