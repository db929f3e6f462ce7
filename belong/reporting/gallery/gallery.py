"""The gallery of what `batch_prediction.score_files` wrote: `gallery.html` beside its tables.

The images that the page holds are decoded once more: no run has to keep thousands of
pictures for a page that may not be wanted.
"""

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from belong.data.decode_pool import decoded
from belong.data.file_discovery import Incoming
from belong.models import device
from belong.prediction.bundle import Bundle
from belong.prediction.prediction_files import PREDICTIONS, UNREADABLE
from belong.prediction.predictor import Scorer
from belong.reporting.gallery.render import gallery_page
from belong.reporting.gallery.selection import telling
from belong.reporting.gallery.sprite_sheets import reduced
from belong.runtime.progress import bar
from belong.runtime.storage import save_text
from belong.runtime.text import in_table

GALLERY = "gallery.html"
NEIGHBORS = 5
WORDS = ("path", "class", "nearest_class", "detector", "reason")


def save_gallery(
    incoming: Incoming,
    bundle: Bundle,
    out: Path,
    *,
    source: str,
    jobs: int,
    batch_size: int,
    device_name: str,
) -> None:
    """Write `gallery.html` into `out`, where the tables of these files are.

    Args:
        incoming: the files that were scored.
        bundle: the model.
        out: folder of the results.
        source: what the user calls the files.
        jobs: processes that decode.
        batch_size: images that are scored together.
        device_name: see `belong.models.device.choose`.
    """
    rows = pd.read_csv(
        out / PREDICTIONS, dtype=dict.fromkeys(WORDS, str), keep_default_na=False, na_values=[]
    )
    unreadable = pd.read_csv(out / UNREADABLE, dtype=str, keep_default_na=False)
    left_out = set(unreadable["path"])
    files = [file for file in incoming.files if in_table(file) not in left_out]
    places = telling(
        rows["score"].to_numpy(),
        threshold=bundle.manifest.threshold,
        generator=np.random.default_rng(0),  # the same images for the same scores
    )
    scorer = Scorer(bundle, place=device.choose(device_name))
    pictures: dict[int, np.ndarray] = {}
    nearest: dict[int, list[tuple[int, float]]] = {}
    batches = [places[start : start + batch_size] for start in range(0, len(places), batch_size)]
    paths = ([incoming.path(files[place]) for place in batch] for batch in batches)
    with (
        bar(len(places), "gallery", "image") as progress,
        closing(decoded(paths, bundle.manifest.form, jobs=jobs)) as images,
    ):
        for batch, decoded_ones in zip(batches, images, strict=True):
            # A file may have gone since it was scored.
            there = {
                int(place): said.pixels
                for place, said in zip(batch, decoded_ones, strict=True)
                if not isinstance(said, str)
            }
            if there:
                pictures |= {place: reduced(image) for place, image in there.items()}
                nearest |= dict(_nearest(there, scorer))
            progress.update(len(batch))
    training = bundle.arrays["training"]
    names = bundle.manifest.class_names
    page = gallery_page(
        rows,
        pictures,
        nearest,
        training["thumbnails"],
        [names[label] for label in training["labels"]],
        title=source,
        threshold=bundle.manifest.threshold,
        facts={"detector": bundle.manifest.detector, "promised": f"{bundle.manifest.alpha:.1%}"},
    )
    save_text(out / GALLERY, page)


def _nearest(
    images: Mapping[int, np.ndarray], scorer: Scorer
) -> Iterator[tuple[int, list[tuple[int, float]]]]:
    """Yield the place of each image, and its nearest training images with their distances."""
    features = scorer.features(np.stack(list(images.values())))
    rows, distances = scorer.nearest_training_images(features, most=NEIGHBORS)
    for place, own, far in zip(images, rows.tolist(), distances.tolist(), strict=True):
        yield place, list(zip(own, far, strict=True))
