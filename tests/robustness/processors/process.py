"""The process that runs on one processor, native or emulated.

    python tests/robustness/processors/process.py LENGTH MATH THREADS INPUTS OUTPUTS

Run by its path: `tests` asks for portable math when it is imported, and here the libraries are to
be loaded as MATH says.
"""

import importlib
import os
import sys
from pathlib import Path

from belong.runtime import portable_math

if __name__ == "__main__":
    length, math, threads, inputs, outputs = sys.argv[1:]
    portable_math.request(math, threads=int(threads))
    importlib.import_module("torch")
    steps = importlib.import_module("tests.robustness.processors.steps")
    os.chdir(outputs)
    steps.main(Path(inputs), math=math, threads=int(threads), is_short=length == "short")
