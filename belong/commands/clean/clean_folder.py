"""Clean a folder of images for each class: the work of `belong clean`.

What `clean.clean` is told comes from params.yaml, the network and its training from
`belong.commands.fit.plan`, as `belong fit` has them.

    from pathlib import Path
    from stages.clean_folder import clean

    summary = clean(Path("photos/ours"), Path("build/cleaned"), tree="link")
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from belong.commands.clean import clean as cleaning
from belong.commands.clean.clean import FALSE_ALARMS, FOLDS
from belong.commands.clean.cleaned_tree import Tree
from belong.commands.clean.out_of_fold import Recipe
from belong.commands.fit.fit import DEFAULTS, places, put
from belong.commands.fit.plan import network_for, steps
from belong.data.image_folder import ImageFiles
from belong.data.loader import look
from belong.models import device
from belong.models import pretrained as learned
from belong.parameters import Parameters
from belong.runtime.errors import InputError
from belong.runtime.text import counted, printable
from belong.runtime.typed_yaml import read


def clean(
    folder: Path,
    out: Path,
    *,
    folds: int = FOLDS,
    false_alarms: float = FALSE_ALARMS,
    least_side_px: int | None = None,
    tree: Tree | None = None,
    with_review: bool = False,
    weights: str | None = None,
    overwrite: bool = False,
    jobs: int | None = None,
    settings: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Say of each image in `folder` whether to keep it; return what `out`/summary.json holds.

    Args:
        folder: class folders, as `belong.data.image_folder` takes them; nothing in it is changed.
        out: folder for manifest.csv, suspects.html, summary.json and the tree `cleaned`.
        folds: networks that are trained, at least 2; each judges the images it has not seen.
        false_alarms: share of right images, on average, among those put aside as wrong or foreign.
        least_side_px: images with a smaller side are tiny; None: a quarter of the median.
        tree: "link" or "copy" builds `out/cleaned` of the images that are kept.
        with_review: whether images that somebody should look at are in it too.
        weights: "imagenet", or a .safetensors file for EfficientNet-B0; None trains small networks.
        overwrite: whether the results of another run in `out` may be replaced.
        jobs: threads that look at the files; all processors if None.
        settings: other keys of params.yaml, dotted.

    Raises:
        InputError: what is wrong with the folder, `out` or a setting; TooManyBadFilesError if no
            image can be read.
    """
    if folds < 2:
        raise InputError(
            f"--folds {folds}: wanted at least 2: each network judges what it has not seen"
        )
    own = dict(settings or {})
    values = values_of(places(folder, None, weights) | own)
    device.compute_repeatably(values.threads)
    found = look(folder)
    if not isinstance(found, ImageFiles):
        raise InputError(
            f"{printable(folder)}: holds IDX files; wanted a folder of image files for each class"
        )
    _, side_px, why = network_for(found, has_weights=weights is not None)
    fitted = max(1, len(found.files) * (folds - 1) // folds)
    recipe = recipe_of(values, own, fitted)
    classes = counted(len(found.class_names), "class", "classes")
    print(  # noqa: T201
        f"{printable(folder)}: {counted(len(found.files), 'image')} of {classes}; "
        f"{why}\n{folds} networks, each on {fitted:,} images or fewer, {recipe.epochs} passes of "
        f"{recipe.batch_size}",
        file=sys.stderr,
    )
    return cleaning.clean(
        found,
        out,
        reading=cleaning.Reading(
            side_px=side_px,
            least_side_px=least_side_px,
            max_pixels=values.images.max_pixels,
            background=values.images.background_rgb,
            jobs=jobs or os.cpu_count() or 1,
        ),
        recipe=recipe,
        backbone=None if weights is None else _arrays(weights),
        fold_count=folds,
        false_alarms=false_alarms,
        tree=tree,
        with_review=with_review,
        overwrite=overwrite,
        seed=values.seed,
        device_name=values.device,
    )


def values_of(settings: Mapping[str, object]) -> Parameters:
    """Return params.yaml with some keys, dotted, changed."""
    values = read(DEFAULTS)
    put(values, settings)
    return Parameters.parse(values, Path("--set"))


def recipe_of(values: Parameters, settings: Mapping[str, object], fitted: int) -> Recipe:
    """Return how a network is fitted to so many images: as `belong fit` does, or as set.

    But the rate is as much smaller as the batches are (Goyal et al., Accurate, Large Minibatch
    SGD, 2017): on batches of 19 images LeNet died at 0.05, and a cleaning is of small folders too.
    """
    batch_size, epochs = steps(
        fitted, batch_size=values.train.batch_size, epochs=values.train.epochs
    )
    rate = values.train.learning_rate * batch_size / values.train.batch_size
    planned = {"batch_size": batch_size, "epochs": epochs, "learning_rate": rate}
    own = {key: value for key, value in planned.items() if f"train.{key}" not in settings}
    return Recipe(
        lambda_=values.lambda_,
        **values.train.model_dump() | own,
        **values.detectors.mahalanobis_layers.model_dump(),
    )


def _arrays(weights: str) -> dict[str, np.ndarray]:
    return learned.imagenet() if weights == "imagenet" else learned.from_file(Path(weights))
