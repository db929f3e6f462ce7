"""Reproduce the papers; every processor computes the same bytes."""

from belong.runtime import portable_math
from belong.runtime.memory import keep_freed_memory

portable_math.request(portable_math.PORTABLE)
keep_freed_memory()
