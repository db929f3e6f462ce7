"""Write the page of the photo study.

Reads   frozen      csv: results of the frozen backbone, by `reproduction.photo_study.study`
        full_size   csv: results of the frozen backbone on full-size photos
        fine_tuned  csv: results of the fine-tuned backbone
        published   csv: the published rows
        grid        csv: our grid of the paper's LeNet experiments
Writes  readme      markdown
"""

from pathlib import Path

from belong.runtime.storage import load_csv, save_text
from reproduction.photo_study.page import page
from stages.runner import run


def main(
    frozen: Path, full_size: Path, fine_tuned: Path, published: Path, grid: Path, readme: Path
) -> None:
    """Load the results, and write the page."""
    tables = (load_csv(path) for path in (frozen, full_size, fine_tuned, published, grid))
    save_text(readme, page(*tables))


if __name__ == "__main__":
    run(main)
