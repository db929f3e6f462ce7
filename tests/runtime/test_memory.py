"""Freed memory is reused: the second batch causes hardly any page faults."""

import os
import platform
import subprocess
import sys

import pytest

BATCHES, BLOCKS, MIB = 20, 6, 8
# Count the page faults of batches of blocks, each freed before the next one; without huge pages.
PROGRAM = f"""
import ctypes, resource
import numpy as np
{{}}
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE
def batch():
    [np.ones({MIB} * 2**17) for _ in range({BLOCKS})]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
batch()
print(-batch() + [batch() for _ in range({BATCHES})][-1])
"""


def faults(first: str) -> int:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(first)], stdout=subprocess.PIPE, check=True
    )
    return int(process.stdout)


@pytest.mark.pipeline
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is a function of glibc")
def test_a_block_that_was_freed_is_used_again_without_page_faults() -> None:
    pages = BATCHES * BLOCKS * MIB * 2**20 // os.sysconf("SC_PAGE_SIZE")
    assert faults("") > 0.9 * pages
    keep = "from belong.runtime.memory import keep_freed_memory; keep_freed_memory()"
    assert faults(keep) < 0.1 * pages
