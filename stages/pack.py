"""Decode all image files to one size and color mode, and pack them into one file.

Size and color mode are those of the normal images. IDX images stay as they are; the stage split
converts the selected ones.

Reads   the data sets, in the folders of the parameters normal.path, anomaly.path, unseen.path
Writes  rows        csv: one row per image: data set (its path), file, class, label, is_test
        unreadable  csv: data set, file, reason: unreadable image files
        ignored     csv: data set, file, reason: hidden files, and files of other types
        images      safetensors: for each path `PATH` (n, ch, h, w) uint8
"""

import sys
from pathlib import Path

import pandas as pd

from belong.data import dataset
from belong.data.loader import check_enough, pack_all
from belong.parameters import Parameters
from belong.runtime.storage import save_arrays, save_csv
from stages.runner import run


def main(params: Path, rows: Path, unreadable: Path, ignored: Path, images: Path) -> None:
    """Decode the images, and pack them."""
    values = Parameters.load(params)
    paths = [values.normal.path, values.anomaly.path, values.unseen.path]
    packs = pack_all(paths, options=values.images)
    # Saved before the check, so that the list is complete if too many files are unreadable.
    save_csv(unreadable, _listed({path: one.unreadable for path, one in packs.items()}))
    save_csv(ignored, _listed({path: one.ignored for path, one in packs.items()}))
    for path, one in packs.items():
        limit = values.images.max_bad_fraction
        check_enough(one, Path(path), max_bad_fraction=limit, list_name=unreadable)
        if one.unreadable:
            count = len(one.unreadable) + len(one.data.labels)
            left_out = f"{len(one.unreadable)} of {count} images cannot be read and are skipped"
            print(f"pack: {path}: {left_out}; {unreadable} lists them", file=sys.stderr)  # noqa: T201
    save_csv(rows, pd.concat([dataset.rows(path, one.data) for path, one in packs.items()]))
    save_arrays(images, {path: one.data.images for path, one in packs.items()})


def _listed(reasons: dict[str, list[tuple[str, str]]]) -> pd.DataFrame:
    rows = [(path, *row) for path, files in reasons.items() for row in files]
    return pd.DataFrame(rows, columns=["data_set", "file", "reason"])


if __name__ == "__main__":
    run(main)
