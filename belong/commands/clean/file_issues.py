"""What is to be said against single files, whatever the others show: unreadable, blank, tiny."""

from collections.abc import Iterator, Sequence

import numpy as np

from belong.commands.check.duplicates import LEAST_CONTRAST
from belong.commands.check.image_stats import Glance
from belong.commands.check.outlier_findings import TINY
from belong.commands.clean.issue import Remark


def files(glances: Sequence[Glance | str], *, least_side_px: int | None) -> Iterator[Remark]:
    """Remark on files.

    Args:
        glances: of each image what a look tells, or why it cannot be read.
        least_side_px: an image whose shorter side is smaller is tiny; None: a quarter of the
            median of the folder.
    """
    seen = [glance for glance in glances if isinstance(glance, Glance)]
    median = float(np.median([glance.shorter_px for glance in seen])) if seen else 0.0
    if least_side_px is None:
        least, why = median / TINY, f"less than a quarter of the median, {median:g}"
    else:
        least, why = least_side_px, f"wanted at least {least_side_px}"
    for row, glance in enumerate(glances):
        if isinstance(glance, str):
            yield Remark(row, "quarantine", "unreadable", f"cannot be read: {glance}")
        elif glance.is_blank:
            yield Remark(row, "quarantine", "blank", "has one color")
        else:
            if glance.thumbnail.std() < LEAST_CONTRAST:
                yield Remark(row, "review", "nearly_blank", "has nearly one color")
            if glance.shorter_px < least:
                size = f"the shorter side has {glance.shorter_px} pixels"
                yield Remark(row, "review", "tiny", f"{size}, {why}")
