"""Say what the study of photos found.

Reads   frozen      csv: the cells above the frozen backbone, of `reproduction.photo_study.study`
        full_size   csv: the same on full-size photos
        fine_tuned  csv: the cells of the fine-tuned backbone
        published   csv: the paper's rows
        grid        csv: the paper's LeNet half
Writes  page        markdown
"""

from pathlib import Path

from belong.runtime.storage import load_csv, save_text
from reproduction.photo_study.page import page
from stages.runner import run


def main(
    frozen: Path, full_size: Path, fine_tuned: Path, published: Path, grid: Path, readme: Path
) -> None:
    """Read, compare, write."""
    tables = (load_csv(path) for path in (frozen, full_size, fine_tuned, published, grid))
    save_text(readme, page(*tables))


if __name__ == "__main__":
    run(main)
