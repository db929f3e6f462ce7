"""Bring image files to one form, and pack the images of all data sets into one file.

The form, height, width and grey or color, is that of the normal images. Images in IDX files stay
as they are; what is chosen of them gets the form in `split`.

Reads   the data sets; their folders are parameters: normal.path, anomaly.path, unseen.path
Writes  rows        csv: one row per image: data set (its path), file, class, label, is_test
        unreadable  csv: data set, file, reason: image files that could not be read
        ignored     csv: data set, file, reason: what is no image by its name, or is hidden
        images      safetensors: for each path `PATH` (n, ch, h, w) uint8
"""

import sys
from pathlib import Path

import pandas as pd

from belong.data import dataset
from belong.data.loader import check_enough, look, own_form, pack
from belong.parameters import Parameters
from belong.runtime.storage import save_arrays, save_csv
from stages.runner import run


def main(params: Path, rows: Path, unreadable: Path, ignored: Path, images: Path) -> None:
    """Look, decode, pack."""
    values = Parameters.load(params)
    options = values.images
    # Each folder once. All folders are looked at before an image is decoded.
    paths = dict.fromkeys([values.normal.path, values.anomaly.path, values.unseen.path])
    found = {path: look(Path(path)) for path in paths}
    form = own_form(found[values.normal.path], side_px=options.side_px, color=options.color)
    packs = {}
    for path, images_or_files in found.items():
        packs[path] = pack(
            images_or_files, form, background=options.background_rgb, max_pixels=options.max_pixels
        )
        form = packs[values.normal.path].form  # the first: now its color is known
    # Before the check, so that the whole list is there when too many are bad.
    save_csv(unreadable, _listed({path: one.unreadable for path, one in packs.items()}))
    save_csv(ignored, _listed({path: one.ignored for path, one in packs.items()}))
    for path, one in packs.items():
        limit = options.max_bad_fraction
        check_enough(one, Path(path), max_bad_fraction=limit, listed=unreadable)
        if one.unreadable:
            count = len(one.unreadable) + len(one.data.labels)
            left_out = f"{len(one.unreadable)} of {count} images cannot be read and are left out"
            print(f"pack: {path}: {left_out}; {unreadable} lists them", file=sys.stderr)  # noqa: T201
    save_csv(rows, pd.concat([dataset.rows(path, one.data) for path, one in packs.items()]))
    save_arrays(images, {path: one.data.images for path, one in packs.items()})


def _listed(reasons: dict[str, list[tuple[str, str]]]) -> pd.DataFrame:
    listed = [(path, *one) for path, some in reasons.items() for one in some]
    return pd.DataFrame(listed, columns=["data_set", "file", "reason"])


if __name__ == "__main__":
    run(main)
