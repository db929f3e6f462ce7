"""Score many generated images, one bad file in a hundred, and watch memory and throughput.

    python -m tests.robustness.long_run data/bundle reports/long_run.csv --images 200000

The images are written into a temporary folder and removed afterwards (200,000 of them want 1 GB
of small files). A row for each tenth of the files, in the order in which they are scored: how many
there are, how many have a prediction and how many are named as unreadable, files per second of the
processor (what else the machine does must not count), and the most memory that was resident. The
exit code is 1 if a file is not accounted for, if memory grew by more than a tenth between the
second tenth and the last, or if the slowest tenth took twice as long as the median one.
"""

import argparse
import csv
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from PIL import Image

from belong.runtime.storage import save_csv
from belong.runtime.unfinished import NAME as UNFINISHED

TENTHS = 10
BAD_OF = 100  # one of so many files is none
EVERY_SECONDS = 0.2
IN_A_FOLDER = 1000


@dataclass(frozen=True)
class Sample:
    """How far a run is: seconds of the processor that it took, files done, bytes resident."""

    seconds: float
    n_done: int
    resident: int


def generate(folder: Path, images: int) -> None:
    """Write so many files: noise of another kind each, and bad ones among them."""
    rng = np.random.default_rng(0)
    for number in range(images):
        path = folder / name_of(number)
        path.parent.mkdir(exist_ok=True, parents=True)
        buffer = io.BytesIO()
        pixels = rng.integers(0, 256, (28, 28), np.uint8)
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        whole = buffer.getvalue()
        path.write_bytes(whole[: len(whole) // 2] if number % BAD_OF == 0 else whole)


def name_of(number: int) -> str:
    """Return the path of a file; sorted, they are in the order of their numbers."""
    return f"{number // IN_A_FOLDER:04}/{number % IN_A_FOLDER:03}.png"


def number_of(path: str) -> int:
    """Return the number of a file."""
    folder, name = path.removesuffix(".png").split("/")
    return int(folder) * IN_A_FOLDER + int(name)


def watched(model: Path, images: Path, out: Path, batch_size: int) -> list[Sample]:
    """Run `belong score`, and sample its progress and memory."""
    words = ["score", images, "--model", model, "-o", out, "--batch-size", batch_size]
    command = [sys.executable, "-m", "belong", *map(str, words), "--no-gallery"]
    samples = []
    with subprocess.Popen(command) as run:
        process = psutil.Process(run.pid)
        while run.poll() is None:
            n_done = sum(1 for _ in (out / UNFINISHED).glob("*.json")) * batch_size
            try:
                cpu_times, resident = process.cpu_times(), process.memory_info().rss
            except psutil.NoSuchProcess:
                break
            samples.append(Sample(cpu_times.user + cpu_times.system, n_done, resident))
            time.sleep(EVERY_SECONDS)
    if run.returncode != 0:
        raise RuntimeError(f"belong score ended with {run.returncode}")
    return samples


def tenths(samples: Sequence[Sample], images: int) -> pd.DataFrame:
    """Return a row for each tenth that lasted: `files_per_second` and `peak_mib`.

    The number of files done is counted by the finished batches, which are removed in the end:
    the highest number so far is used.
    """
    n_done = np.minimum([one.n_done for one in samples], images)
    highest = np.maximum.accumulate(n_done)
    resident = np.array([one.resident for one in samples])
    reached, first = np.unique(highest, return_index=True)
    reached, first = reached[reached > 0], first[reached > 0]  # before, it imports torch
    seconds = np.array([one.seconds for one in samples])[first]
    rows = []
    for tenth in range(TENTHS):
        ends = (images * tenth // TENTHS, images * (tenth + 1) // TENTHS)
        low, high = np.clip(ends, reached[0], reached[-1])
        duration = np.interp(high, reached, seconds) - np.interp(low, reached, seconds)
        within = resident[(low <= highest) & (highest <= high)]
        if duration == 0 or not len(within):
            continue  # too short to look at
        rate, peak = (high - low) / duration, within.max() / 2**20
        rows.append({"tenth": tenth + 1, "files_per_second": round(rate), "peak_mib": round(peak)})
    return pd.DataFrame(rows, columns=["tenth", "files_per_second", "peak_mib"])


def counts(out: Path, images: int) -> pd.DataFrame:
    """Return a row for each tenth: `files`, and of these `predictions` and `unreadable` ones."""
    table = pd.DataFrame({"tenth": range(1, TENTHS + 1)})
    ends = [images * tenth // TENTHS for tenth in range(TENTHS + 1)]
    table["files"] = [high - low for low, high in pairwise(ends)]
    for kind in ("predictions", "unreadable"):
        with (out / f"{kind}.csv").open(encoding="utf-8", newline="") as file:
            numbers = [number_of(row["path"]) for row in csv.DictReader(file)]
        table[kind] = [
            sum(low <= number < high for number in numbers) for low, high in pairwise(ends)
        ]
    return table


def accounted(out: Path, images: int) -> bool:
    """Return whether each file is in one table, once, and the bad ones in the one for them."""
    paths = {}
    for name in ("predictions.csv", "unreadable.csv"):
        with (out / name).open(encoding="utf-8", newline="") as file:
            paths[name] = [row["path"] for row in csv.DictReader(file)]
    every = [path for group in paths.values() for path in group]
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    counted = summary["images"], summary["unreadable"]
    bad = -(-images // BAD_OF)
    return len(every) == len(set(every)) == images and counted == (images - bad, bad)


def is_flat(table: pd.DataFrame) -> bool:
    """Return whether memory and throughput stayed what they were."""
    settled = table[table["tenth"] >= 2].dropna()
    if settled.empty:
        return True
    peak, rate = settled["peak_mib"], settled["files_per_second"]
    return bool(peak.iloc[-1] <= 1.1 * peak.iloc[0] and rate.min() >= rate.median() / 2)


def main() -> int:
    """Generate, score, say."""
    parser = argparse.ArgumentParser(description="Score many generated images.")
    parser.add_argument("model", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--batch-size", type=int, default=256)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        images, out = Path(top) / "images", Path(top) / "out"
        generate(images, arguments.images)
        samples = watched(arguments.model, images, out, arguments.batch_size)
        table = counts(out, arguments.images).merge(tenths(samples, arguments.images), how="left")
        whole = accounted(out, arguments.images)
    save_csv(arguments.table, table)
    print(table.to_string(index=False))  # noqa: T201
    print(f"all {arguments.images} files accounted for: {whole}; flat: {is_flat(table)}")  # noqa: T201
    return int(not (whole and is_flat(table)))


if __name__ == "__main__":
    sys.exit(main())
