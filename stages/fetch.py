"""Download one of the pipeline's data sets.

Reads   by_hand   an optional folder with the four files, raw or .gz, downloaded by hand; if it is
                  missing, the files are downloaded
Writes  out       a folder with the four IDX files, unzipped and checked; its name is that of the
                  data set: mnist or fashion-mnist
"""

from pathlib import Path

from belong.data.download import fetch, known_files, known_sources
from stages.runner import run


def main(by_hand: Path, out: Path) -> None:
    """Download the data set that the name of `out` selects."""
    fetch(known_files(out.name), known_sources(out.name), by_hand, out)


if __name__ == "__main__":
    run(main)
