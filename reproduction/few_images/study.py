"""Fit models to few photos, many times, and count the rejected fresh photos.

    python -m reproduction.few_images.study reports/photos DOGS ANIMALS FAR

Each draw takes 20 photos of each of the first five classes of one folder, 12 of each of the first
two of another, and 100 of its first class alone; the other photos of these classes are fresh. The
plan, the fit, the calibration and the combination are those of `belong fit`, but only the members
of `combined` are fitted, and the autoencoder, which none of them needs, is trained for one epoch.
The guarantees are those of `belong score`. Draws that are already in few_images.csv are not
repeated. The study is not a stage of dvc.yaml: the photos are not part of the project.

Reads   DOGS, ANIMALS  a folder of photos for each class; over 100 in the first class of ANIMALS
        FAR            photos that belong to no class, for the mixed batches
Writes  folder  few_images.csv: a row for each draw, detector and guarantee; few_images.md: the page
"""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from belong.calibration import conformal
from belong.calibration.false_discovery import reported_rank
from belong.calibration.sample_size import (
    CONDITIONAL,
    MARGINAL,
    PER_CLASS,
    ROUNDING,
    Guarantee,
    least_alpha,
)
from belong.calibration.verdict_rule import VerdictRule
from belong.commands.arguments import count, whole
from belong.commands.fit import one_class
from belong.commands.fit.backbone_choice import FOR_PHOTOS, backbone_settings
from belong.commands.fit.cross_fit import Part, out_of_fold_scores
from belong.commands.fit.fitting import TRAIN, Fitting
from belong.commands.fit.plan import choose_calibration, overrides, plan
from belong.commands.fit.settings import parameters
from belong.data.dataset import DataSet
from belong.data.loader import pack_all
from belong.detectors.combination import candidates_of, rule_of
from belong.detectors.score_parts import HELD_OUT, cross_scores
from belong.models import device as devices
from belong.models.autoencoder import averaged_down
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.catalog import backbone_named
from belong.models.feature_extraction import embed, extract_parts
from belong.models.network_choice import is_frozen
from belong.parameters import Parameters
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.storage import load_csv, save_csv, save_text
from belong.runtime.text import say
from reproduction.few_images.page import DECIDES, FDR, page

FRESH, FOREIGN = "normal/test", "foreign/test"
DRAWS = 100
TABLE, PAGE = "few_images.csv", "few_images.md"
CLASS_ALPHA = 0.1  # alpha of "per-class": needs 9 calibration images of a class; 2.5% needs 39
SHARES = (0.05, 0.1, 0.2)  # false discovery rates
BATCH, BATCH_FOREIGN = 100, 20  # photos of a mixed batch, and how many of them are foreign
COLUMNS = [
    "classes", "of_each", "seed", "detector", "guarantee", "alpha", "class", "calibration_images",
    "fresh", "exact_low", "low", "high", "rate", "above_expected", "found", "accuracy_out_of_fold",
    "accuracy_fresh",
]  # fmt: skip


@dataclass(frozen=True)
class Photos:
    """Photos in the form of the networks.

    Attributes:
        vectors: (n, v) float32, the vectors of the backbone.
        images: (n, ch, h, w) uint8, reduced to the size for the autoencoder.
        labels: (n,) int64, 0..c-1.
        class_names: c class names.
    """

    vectors: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]

    def first(self, classes: int) -> "Photos":
        """Return the photos of the first classes."""
        rows = self.labels < classes
        names = self.class_names[:classes]
        return Photos(self.vectors[rows], self.images[rows], self.labels[rows], names)


def main(arguments: Sequence[str]) -> int:
    """Draw photos, fit models, and count the rejects; return the exit code."""
    parser = argparse.ArgumentParser(prog="few_images", description=__doc__)
    parser.add_argument("folder", type=Path, help="of the table and the page")
    parser.add_argument("five", type=Path, help="photos, of which 20 of 5 classes are drawn")
    parser.add_argument("two", type=Path, help="photos, of which 12 of 2 classes are drawn")
    parser.add_argument("far", type=Path, help="photos of no class of either")
    parser.add_argument("--draws", type=count, default=DRAWS, help="of each")
    parser.add_argument("--first-seed", type=whole, default=0, help="of the draws")
    options = parser.parse_args(arguments)

    return exit_code_of(lambda: _study(options), say)


def _study(options: argparse.Namespace) -> int:
    values, backbone = parameters({}), backbone_named(FOR_PHOTOS)
    devices.compute_repeatably(values.threads, values.math)
    path = options.folder / TABLE
    table = load_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
    five, two, far = (
        photos_in(source, backbone, values) for source in (options.five, options.two, options.far)
    )
    sources = ((five.first(5), 20), (two.first(2), 12), (two.first(1), 100))
    for seed in range(options.first_seed, options.first_seed + options.draws):
        for photos, of_each in sources:
            is_case = (table["classes"] == len(photos.class_names)) & (table["of_each"] == of_each)
            if not (is_case & (table["seed"] == seed)).any():
                rows = pd.DataFrame(drawn(photos, far, of_each, backbone, seed), columns=COLUMNS)
                table = pd.concat([table, rows], ignore_index=True) if len(table) else rows
                save_csv(path, table)
    save_text(options.folder / PAGE, page(load_csv(path)))
    return 0


def photos_in(folder: Path, backbone: Backbone, values: Parameters) -> Photos:
    """Read the photos of a folder, and embed them."""
    data = pack_all([str(folder)], options=values.images)[str(folder)].data
    images = torch.from_numpy(data.images)
    vectors = embed(backbone, images, device=torch.device("cpu"))
    side = values.autoencoder.most_side_px
    small = averaged_down(images, most_values=images.shape[1] * side**2)
    return Photos(vectors.numpy(), small.numpy(), data.labels, data.class_names)


def drawn(
    photos: Photos, far: Photos, of_each: int, backbone: Backbone, seed: int
) -> Iterator[dict[str, object]]:
    """Fit to some photos, drawn by `seed`, and yield the rates among the other photos.

    There is a row for each detector with the marginal guarantee, and for `combined` with each other
    guarantee.
    """
    rng, labels = np.random.default_rng([seed, 7]), photos.labels
    classes = range(len(photos.class_names))
    chosen_rows = np.concatenate(
        [rng.permutation(np.flatnonzero(labels == c))[:of_each] for c in classes]
    )
    fresh = np.setdiff1d(np.arange(len(labels)), chosen_rows)
    values = planned(photos, chosen_rows, backbone, seed)
    frozen = is_frozen(values.network, values.backbone)
    if len(classes) == 1:
        members = list(one_class.members(values))
    else:
        members = candidates_of(values.combined.members, is_frozen=frozen)
    names, device = list(photos.class_names), torch.device("cpu")
    fitting = Fitting(values, names, device, backbone, is_quiet=True, only=members)
    vectors, images = photos.vectors[chosen_rows], photos.images[chosen_rows]
    network, coder = fitting.network(vectors, labels[chosen_rows]), fitting.autoencoder(images)
    features = extract_parts(
        network,
        coder,
        [
            (TRAIN, vectors, images),
            (FRESH, photos.vectors[fresh], photos.images[fresh]),
            (FOREIGN, far.vectors, far.images),
        ],
        device=device,
        description=None,
    )
    features |= {f"{TRAIN}/labels": labels[chosen_rows], f"{FRESH}/labels": labels[fresh]}
    arrays = network.arrays()
    gaussians, detectors = fitting.detectors(features, arrays)
    out_of_fold = out_of_fold_scores(
        fitting.like(features, arrays),
        Part(vectors, images, np.arange(len(chosen_rows))),
        labels[chosen_rows],
        derived={},
        anomalies=None,
        seed=seed,
    )
    scores, about = cross_scores(
        out_of_fold,
        features,
        names,
        gaussians=gaussians,
        head={},
        detectors=detectors,
        why_no_head="no anomalies",
        members=members,
        tail=values.combined.tail,
        rule=rule_of(is_frozen=frozen),
        calibration=values.calibration,
        only=members,
    )
    facts: dict[str, object] = {
        "classes": len(classes),
        "of_each": of_each,
        "seed": seed,
        "accuracy_out_of_fold": _accuracy(scores, HELD_OUT),
        "accuracy_fresh": _accuracy(scores, FRESH),
    }
    alpha, n = values.calibration.alpha, len(chosen_rows)
    promises: list[tuple[Guarantee, float]] = [
        (CONDITIONAL, max(alpha, least_alpha(n, CONDITIONAL))),
    ]
    if len(classes) > 1:
        promises.append((PER_CLASS, CLASS_ALPHA))
    for name in about["thresholds"]:
        judge = Judge(name, scores, names)
        for guarantee, share in [(MARGINAL, alpha), *(promises if name == DECIDES else ())]:
            for row in judge.rates(guarantee, share):
                yield facts | row
    for row in Judge(DECIDES, scores, names).discoveries(rng):
        yield facts | row


@dataclass(frozen=True)
class Judge:
    """The verdicts of one detector.

    Attributes:
        name: name of the detector.
        scores: `PART/DETECTOR` and `PART/predicted`, as `cross_scores` returns them.
        class_names: c class names.
    """

    name: str
    scores: dict[str, np.ndarray]
    class_names: Sequence[str]

    def part(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores and the predicted classes of a part."""
        return self.scores[f"{part}/{self.name}"], self.scores[f"{part}/predicted"]

    def rule(self, alpha: float, guarantee: Guarantee) -> VerdictRule:
        """Return the rule that decides."""
        return VerdictRule.of(
            *self.part(HELD_OUT), classes=len(self.class_names), alpha=alpha, guarantee=guarantee
        )

    def rates(self, guarantee: Guarantee, alpha: float) -> Iterator[dict[str, object]]:
        """Yield the false-rejection rate and its expected range; for "per-class", of each class."""
        rule, (fresh, predicted) = self.rule(alpha, guarantee), self.part(FRESH)
        is_rejected = ~rule.belongs(fresh, predicted)
        groups = [("", rule.pooled, np.ones(len(fresh), bool))]
        if guarantee == PER_CLASS:
            groups = [
                (self.class_names[label], class_rule, predicted == label)
                for label, class_rule in rule.of_class.items()
            ]
        for label, class_rule, is_in_group in groups:
            n, m = len(class_rule.scores), int(is_in_group.sum())
            exact_low, _ = conformal.rejects_range([(n, m, class_rule.rank)])
            low, high = conformal.rejects_range([(n, m, class_rule.rank)], is_cross=True)
            above = math.floor(alpha * m + ROUNDING) + 1
            yield {
                "detector": self.name,
                "guarantee": guarantee,
                "alpha": alpha,
                "class": label,
                "calibration_images": n,
                "fresh": m,
                "exact_low": round(exact_low / m, 4),
                "low": round(low / m, 4),
                "high": round(high / m, 4),
                "rate": _share(is_rejected[is_in_group]),
                "above_expected": round(
                    float(conformal.chances_of(n, m, class_rule.rank)[above:].sum()), 4
                ),
            }

    def discoveries(self, rng: np.random.Generator) -> Iterator[dict[str, object]]:
        """Yield the share of false discoveries in a mixed batch, for each rate of `SHARES`."""
        parts = [self.part(FRESH), self.part(FOREIGN)]
        sizes = BATCH - BATCH_FOREIGN, BATCH_FOREIGN
        samples = [
            rng.choice(len(scores), size, replace=False)
            for (scores, _), size in zip(parts, sizes, strict=True)
        ]
        batch, predicted = (
            np.concatenate([one[rows] for one, rows in zip(both, samples, strict=True)])
            for both in zip(*parts, strict=True)
        )
        rule = self.rule(max(SHARES), MARGINAL)
        n = len(rule.pooled.scores)
        ranks = np.rint(rule.p_values(batch, predicted) * (n + 1)).astype(np.int64)
        is_foreign = np.arange(BATCH) >= sizes[0]
        for fdr in SHARES:
            is_reported = ranks <= reported_rank(ranks, n=n, fdr=fdr)
            false = (is_reported & ~is_foreign).sum() / max(1, is_reported.sum())
            yield {
                "detector": self.name,
                "guarantee": FDR,
                "alpha": fdr,
                "class": "",
                "calibration_images": n,
                "fresh": BATCH,
                "rate": round(float(false), 4),
                "found": _share(is_reported[is_foreign]),
            }


def planned(photos: Photos, rows: np.ndarray, backbone: Backbone, seed: int) -> Parameters:
    """Return the parameters that `belong fit` plans for these photos."""
    contents = DataSet(
        images=photos.images[rows],
        labels=photos.labels[rows],
        class_names=photos.class_names,
        is_test=np.zeros(len(rows), bool),
        sources=rows.astype(str),
    )
    settings: dict[str, object] = {"seed": seed, "autoencoder.epochs": 1}
    values = parameters(settings)
    kind, alpha = choose_calibration(
        contents,
        requested="auto",
        alpha=values.calibration.alpha,
        own_alpha=False,
        is_frozen=True,
        split=values.split,
    )
    chosen = plan(
        contents,
        alpha=alpha,
        backbone=backbone.card,
        split=values.split,
        train=values.train,
        lambda_=values.lambda_,
        settings=settings,
        calibration=kind,
    )
    of_backbone = backbone_settings(backbone, settings)
    return parameters(overrides(chosen) | settings | of_backbone | {"calibration.alpha": alpha})


def _accuracy(scores: dict[str, np.ndarray], part: str) -> float:
    return _share(scores[f"{part}/predicted"] == scores[f"{part}/labels"])


def _share(is_meant: np.ndarray) -> float:
    return round(float(is_meant.mean()), 4)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
