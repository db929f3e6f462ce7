"""Fit to few photos, many times, and count how many fresh ones are rejected.

    python -m reproduction.few_images.study reports/photos DOGS ANIMALS

Each draw takes 20 photos of each of the first five classes of one folder, and 12 of each of the
first two of another; the rest are fresh. What is planned, fitted, calibrated and combined is what
`belong fit` does; only the detectors that `combined` is made of take part, and the autoencoder,
which none of them needs, is trained for one pass. Draws that few_images.csv has already are not
made again. It is no stage of dvc.yaml: the photos are not part of the project.

Reads   FOLDER  a folder of photos for each class, with at least 60 of each
Writes  folder  few_images.csv: a row for each draw; few_images.md, the page made of it
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from belong.calibration import conformal
from belong.calibration.verdict import decide
from belong.commands.arguments import count
from belong.commands.fit.backbone_choice import FOR_PHOTOS, backbone_settings
from belong.commands.fit.cross_fit import Part, out_of_fold_scores
from belong.commands.fit.fitting import TRAIN, Fitting
from belong.commands.fit.plan import choose_calibration, overrides, plan
from belong.commands.fit.settings import parameters
from belong.data.dataset import DataSet
from belong.data.loader import pack_all
from belong.detectors.score_parts import cross_scores
from belong.models import device as devices
from belong.models.autoencoder import averaged_down
from belong.models.backbones.backbone import Backbone
from belong.models.backbones.catalog import backbone_named
from belong.models.feature_extraction import embed, extract_parts
from belong.parameters import Parameters
from belong.runtime.exit_codes import exit_code_of
from belong.runtime.storage import load_csv, save_csv, save_text
from belong.runtime.text import say
from reproduction.few_images.page import page

FRESH = "normal/test"
DRAWS = 100
TABLE, PAGE = "few_images.csv", "few_images.md"


@dataclass(frozen=True)
class Photos:
    """Photos of a few classes, as the backbone sees them.

    Attributes:
        vectors: (n, v) float32 of the backbone.
        images: (n, ch, h, w) uint8, as small as the autoencoder takes them.
        labels: (n,) int64, 0..c-1.
        class_names: c.
    """

    vectors: np.ndarray
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple[str, ...]


def main(arguments: Sequence[str]) -> int:
    """Draw, fit, count; return the exit code."""
    parser = argparse.ArgumentParser(prog="few_images", description=__doc__)
    parser.add_argument("folder", type=Path, help="of the table and the page")
    parser.add_argument("five", type=Path, help="photos, of which 20 of 5 classes are drawn")
    parser.add_argument("two", type=Path, help="photos, of which 12 of 2 classes are drawn")
    parser.add_argument("--draws", type=count, default=DRAWS, help="of each")
    given = parser.parse_args(arguments)

    return exit_code_of(lambda: _study(given), say)


def _study(given: argparse.Namespace) -> int:
    values, backbone = parameters({}), backbone_named(FOR_PHOTOS)
    devices.compute_repeatably(values.threads, values.math)
    path = given.folder / TABLE
    table = load_csv(path) if path.exists() else pd.DataFrame({"classes": [], "seed": []})
    sources = ((given.five, 5, 20), (given.two, 2, 12))
    known = [photos_in(source, classes, backbone, values) for source, classes, _ in sources]
    for seed in range(given.draws):
        for photos, (_, classes, of_each) in zip(known, sources, strict=True):
            if not ((table["classes"] == classes) & (table["seed"] == seed)).any():
                rows = pd.DataFrame(drawn(photos, of_each, backbone, seed))
                table = pd.concat([table, rows], ignore_index=True) if len(table) else rows
                save_csv(path, table)
    save_text(given.folder / PAGE, page(load_csv(path)))
    return 0


def photos_in(folder: Path, classes: int, backbone: Backbone, values: Parameters) -> Photos:
    """Read the photos of the first classes of a folder, and embed them."""
    data = pack_all([str(folder)], options=values.images)[str(folder)].data
    rows = np.flatnonzero(data.labels < classes)
    images = torch.from_numpy(data.images[rows])
    vectors = embed(backbone, images, device=torch.device("cpu"))
    side = values.autoencoder.most_side_px
    small = averaged_down(images, most_values=images.shape[1] * side**2)
    names = data.class_names[:classes]
    return Photos(vectors.numpy(), small.numpy(), data.labels[rows], names)


def drawn(photos: Photos, of_each: int, backbone: Backbone, seed: int) -> list[dict[str, object]]:
    """Fit to some photos, drawn by `seed`, and count the rejected among the others.

    Returns a row for `combined` and for each detector that it may be made of.
    """
    rng, labels = np.random.default_rng([seed, 7]), photos.labels
    classes = range(len(photos.class_names))
    own = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:of_each] for c in classes])
    fresh = np.setdiff1d(np.arange(len(labels)), own)
    values = planned(photos, own, backbone, seed)
    names, device = list(photos.class_names), torch.device("cpu")
    fitting = Fitting(values, names, device, backbone, is_quiet=True, only=values.candidates)
    vectors, images = photos.vectors[own], photos.images[own]
    network, coder = fitting.network(vectors, labels[own]), fitting.autoencoder(images)
    features = extract_parts(
        network,
        coder,
        [(TRAIN, vectors, images), (FRESH, photos.vectors[fresh], photos.images[fresh])],
        device=device,
        description=None,
    )
    features |= {f"{TRAIN}/labels": labels[own], f"{FRESH}/labels": labels[fresh]}
    arrays = network.arrays()
    gaussians, detectors = fitting.detectors(features, arrays)
    out_of_fold = out_of_fold_scores(
        fitting.like(features, arrays),
        Part(vectors, images, np.arange(len(own))),
        labels[own],
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
        members=values.candidates,
        tail=values.combined.tail,
        rule=values.combination_rule,
        calibration=values.calibration,
        only=values.candidates,
    )
    alpha = values.calibration.alpha
    low, high = conformal.promised_range(len(own), len(fresh), alpha=alpha)
    facts = {
        "classes": len(classes),
        "of_each": of_each,
        "seed": seed,
        "alpha": alpha,
        "fresh": len(fresh),
        "low": round(low, 4),
        "high": round(high, 4),
        "accuracy_out_of_fold": _accuracy(scores, "normal/calibration"),
        "accuracy_fresh": _accuracy(scores, FRESH),
    }
    return [
        facts
        | {
            "detector": name,
            "false_reject": _share(~decide(scores[f"{FRESH}/{name}"], limit["in_force"])),
        }
        for name, limit in about["thresholds"].items()
    ]


def planned(photos: Photos, own: np.ndarray, backbone: Backbone, seed: int) -> Parameters:
    """Return the parameters that `belong fit` plans for these photos."""
    found = DataSet(
        images=photos.images[own],
        labels=photos.labels[own],
        class_names=photos.class_names,
        is_test=np.zeros(len(own), bool),
        sources=own.astype(str),
    )
    settings: dict[str, object] = {"seed": seed, "autoencoder.epochs": 1}
    values = parameters(settings)
    kind, alpha = choose_calibration(
        found,
        asked="auto",
        alpha=values.calibration.alpha,
        own_alpha=False,
        is_frozen=True,
        split=values.split,
    )
    chosen = plan(
        found,
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
