"""Let the idle threads of torch and NumPy sleep early.

torch computes with the threads of OpenMP, NumPy with those of OpenBLAS. After an operation, both
libraries let their threads spin, in case the next operation follows at once. With more than one
thread, a detector that alternates between the libraries then waits for a processor on which the
threads of the other library spin: with two threads, Mahalanobis distances took 18 times as long. No
result depends on it.
"""

import os

# Iterations before a thread sleeps (GNU's default: 300,000), and an exponent of 2 (26).
SETTINGS = {"GOMP_SPINCOUNT": "5000", "OPENBLAS_THREAD_TIMEOUT": "4"}


def sleep_early() -> None:
    """Set the variables; call this before NumPy and torch are loaded. Existing values stay."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
