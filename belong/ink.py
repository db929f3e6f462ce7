"""Which images are shown inverted: bright strokes on black, dark on white, as on paper.

MNIST's files hold ink as bright on black. A grey photo in an image file is shown as it is: turned
into its negative, nobody would know it again.
"""

import pandas as pd

IDX_FILE = "-idx3-ubyte/"


def is_ink(sources: pd.Series) -> bool:
    """Return whether images come from IDX files, by the sources (n,) that the manifest names."""
    return bool(sources.str.contains(IDX_FILE, regex=False).any())
