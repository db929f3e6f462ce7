"""The tests compute the same bytes on every processor."""

from belong.runtime import portable_math

portable_math.request(portable_math.PORTABLE)
