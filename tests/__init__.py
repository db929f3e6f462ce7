"""The tests compute the same bytes on every processor, unless BELONG_MATH=fast."""

import os

from belong.runtime import portable_math

portable_math.request(os.environ.get(portable_math.VARIABLE, portable_math.PORTABLE))
