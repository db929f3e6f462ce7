"""Fetch one of the data sets that the pipeline starts from.

Reads   by_hand   a folder, if there is one: the four files that somebody downloaded elsewhere,
                  raw or .gz; without it, they come from the network
Writes  out       a folder with the four IDX files, unzipped and checked; its name is the data
                  set's: mnist or fashion-mnist
"""

from pathlib import Path

from belong.data.download import fetch, known_files, known_sources
from stages.runner import run


def main(by_hand: Path, out: Path) -> None:
    """Fetch the data set that `out` is named after."""
    fetch(known_files(out.name), known_sources(out.name), by_hand, out)


if __name__ == "__main__":
    run(main)
