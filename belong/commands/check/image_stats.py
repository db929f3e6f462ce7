"""Measure all images of a data set, and return a table."""

from collections.abc import Sequence
from dataclasses import fields
from functools import partial

import pandas as pd

from belong.commands.check.image_properties import ImageProperties, at_array, properties_or_reason
from belong.data.dataset import DataSet
from belong.data.decode_pool import each_file
from belong.data.image_folder import ImageFiles
from belong.data.image_reader import Rgb
from belong.runtime.parallel import parallel_map


def table_of(looks: Sequence[ImageProperties | str]) -> pd.DataFrame:
    """Return a row for each image: its `ImageProperties`, or the `reason` of a failure."""
    rows = [
        {"reason": one} if isinstance(one, str) else vars(one) | {"reason": ""} for one in looks
    ]
    return pd.DataFrame(rows, columns=[*(one.name for one in fields(ImageProperties)), "reason"])


def look_at_all(
    images: DataSet | ImageFiles, name: str, *, jobs: int | None, max_pixels: int, background: Rgb
) -> pd.DataFrame:
    """Measure each image of a data set; return the rows of `table_of`.

    `name` labels the progress bar. `jobs` is the number of processes for files, or of threads for
    images in an array; None: one per processor. The other options are those of `read_file`.
    """
    if isinstance(images, DataSet):
        return table_of(list(parallel_map(at_array, images.images, jobs=jobs)))
    look = partial(properties_or_reason, max_pixels=max_pixels, background=background)
    return table_of(list(each_file(look, images.paths, f"reading {name}", jobs=jobs)))
