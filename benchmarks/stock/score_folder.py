"""Score a folder of digits as in a tutorial: torchvision, plain torch and pytorch-ood.

`python -m benchmarks.stock.score_folder FOLDER WEIGHTS TRAINING OUT`: WEIGHTS and TRAINING are
safetensors, OUT is a table with the class and three scores of each image.
"""

import csv
import sys
from pathlib import Path

import torch
from PIL import Image
from pytorch_ood.detector import EnergyBased, Mahalanobis, MaxLogit
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.stock.network import LeNet

WORKERS = 2


class Folder(Dataset[torch.Tensor]):
    """The images of a folder, standardized."""

    def __init__(self, files: list[Path], mean: float, std: float) -> None:
        self.files = files
        self.transform = transforms.Compose(
            [
                transforms.Grayscale(),
                transforms.Resize(28),
                transforms.CenterCrop(28),
                transforms.ToTensor(),
                transforms.Normalize((mean,), (std,)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, row: int) -> torch.Tensor:
        with Image.open(self.files[row]) as image:
            tensor: torch.Tensor = self.transform(image)
        return tensor


@torch.no_grad()
def main(folder: Path, weights: Path, training: Path, out: Path) -> None:
    """Score all, and write the table."""
    arrays = load_file(weights)
    mean, std = (float(arrays.pop(name)) for name in ("mean", "std"))
    network = LeNet()
    network.load_state_dict(arrays)
    network.eval()
    training_arrays = load_file(training)
    detector = Mahalanobis(None).fit_features(
        training_arrays["features"], training_arrays["labels"]
    )
    files = sorted(folder.rglob("*.png"))
    rows: list[tuple[float, ...]] = []
    for images in DataLoader(Folder(files, mean, std), batch_size=256, num_workers=WORKERS):
        features, logits = network(images)
        rows += zip(
            logits.argmax(dim=1).tolist(),
            detector.predict_features(features).tolist(),
            MaxLogit.score(logits).tolist(),
            EnergyBased.score(logits).tolist(),
            strict=True,
        )
    with out.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "class", "mahalanobis", "max_logit", "energy"))
        table.writerows((path, *row) for path, row in zip(files, rows, strict=True))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
