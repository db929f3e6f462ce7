"""Reproduce the papers; every processor computes the same bytes."""

from belong.runtime import portable_math

portable_math.request(portable_math.PORTABLE)
