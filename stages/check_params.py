"""Stop the run before any work if params.yaml holds a mistake.

Reads   params.yaml   all of it: a misspelt key belongs to no stage, so no other would see it
Writes  valid         the word "valid": the same bytes for all valid parameters, so that what
                      comes after is run again only for the parameters it reads itself
"""

from pathlib import Path

from belong.parameters import Parameters
from belong.runtime.storage import save_text
from stages.runner import run


def main(params: Path, valid: Path) -> None:
    """Check every key, its type and its range."""
    Parameters.load(params)
    save_text(valid, "valid\n")


if __name__ == "__main__":
    run(main)
