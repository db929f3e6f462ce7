"""What only the reproduction of the papers needs. It computes the same bytes on every processor."""

from belong.runtime import portable_math

portable_math.request(portable_math.PORTABLE)
