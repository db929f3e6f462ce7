"""Try a range of inputs in a process of its own, which a hang or a crash may end.

`python -m tests.robustness.fuzz.worker READER SEED FIRST LAST FOLDER` prints a line of JSON for
each fault, and one with the counts. FOLDER/input holds the bytes at work, FOLDER/number which
they are.
"""

import json
import resource
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.robustness.fuzz.mutations import mutated
from tests.robustness.fuzz.readers import READERS

MOST_SECONDS = 10  # of the processor, for one input; SIGPROF then ends the process, wherever it is
MOST_BYTES = 2**30  # of memory more than at the start


def outcomes(reader: str, seed: int, first: int, last: int, folder: Path) -> dict[str, Any]:
    """Try the inputs first..last-1; return what came of them.

    Returns:
        `read`, `refused`: so many; `faults`: number -> what was raised.
    """
    one = READERS[reader]
    seeds, path, number = one.seeds(), folder / "input", folder / "number"
    for whole in seeds:
        path.write_bytes(whole)
        if not one.reads(path):
            raise ValueError(f"{reader}: an input that nobody has spoiled is refused")
    counts: dict[str, Any] = {"read": 0, "refused": 0, "slowest": 0.0, "faults": {}}
    with number.open("w") as number_file:
        for i in range(first, last):
            path.write_bytes(mutated(seeds, i, seed=seed))
            number_file.seek(0)
            number_file.write(f"{i:9d}")
            number_file.flush()
            signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
            start = time.process_time()
            try:
                counts["read" if one.reads(path) else "refused"] += 1
            except Exception as fault:  # what is looked for
                counts["faults"][i] = f"{type(fault).__name__}: {fault}"[:200]
            counts["slowest"] = max(counts["slowest"], time.process_time() - start)
    signal.setitimer(signal.ITIMER_PROF, 0)
    return counts


def main() -> None:
    """Bound the memory, try, print."""
    reader, seed, first, last, folder = sys.argv[1:]
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + MOST_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    counts = outcomes(reader, int(seed), int(first), int(last), Path(folder))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps(counts | {"grown_mib": round(grown / 2**10, 1)}))  # noqa: T201


if __name__ == "__main__":
    main()
