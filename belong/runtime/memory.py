"""Reuse freed memory, so that no batch of a training waits for the kernel to clear pages.

Each batch allocates and frees the same tensors. By default the C library returns a large block to
the kernel at once, and the kernel clears its pages when the next batch requests them. On a virtual
machine this takes 1% to 15% of the time of a training, depending on the state of the machine. No
result depends on it.
"""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of malloc.h
MIB = 2**20
KEPT = {
    M_MMAP_THRESHOLD: 32 * MIB,  # glibc's maximum; a larger block is always returned
    M_TRIM_THRESHOLD: 1024 * MIB,  # free memory at the end of the heap
    M_TOP_PAD: 64 * MIB,
}


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GiB of freed memory; has an effect with glibc only."""
    with suppress(AttributeError, OSError, TypeError):  # no glibc
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in KEPT.items():
            mallopt(option, value)
