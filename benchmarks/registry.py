"""All rows, in the order of the table: name -> the function that prepares it.

Those of LONG take more than a few minutes together and run when asked for, by name or `--long`.
"""

from functools import partial

from benchmarks.contract import Prepare
from benchmarks.rows import (
    decoding,
    features,
    isolation,
    mahalanobis,
    neighbors,
    pipeline,
    scoring,
    starting,
    training,
)

SHORT: dict[str, Prepare] = {
    "train-epoch": training.epoch,
    "decode-photos": decoding.photos,
    "features": features.of_digits,
    "mahalanobis-fit-84": partial(mahalanobis.fitting, n=70_000, d=84),
    "mahalanobis-fit-1280": partial(mahalanobis.fitting, n=10_000, d=1280, part=0.1),
    "mahalanobis-score-84": partial(mahalanobis.scoring, n=70_000, d=84, loop=1000),
    "mahalanobis-score-1280": partial(mahalanobis.scoring, n=10_000, d=1280, loop=50, part=0.1),
    "knn-50": partial(neighbors.knn, d=50, k=5),
    "knn-84": partial(neighbors.knn, d=84, k=50),
    "isolation-forest": partial(isolation.fit_and_score, n=60_000, d=50, trees=2000),
    "score-folder": scoring.folder,
    "score-photos": partial(scoring.photos, n=6_000, width=500, drawn=600),
    "score-camera": partial(scoring.photos, n=300, width=4000, drawn=20),
    "start-help": starting.help_text,
    "growth-score": scoring.growth,
    "growth-fit": mahalanobis.growth,
}
LONG: dict[str, Prepare] = {
    "dvc-repro": pipeline.whole,
    "dvc-nothing": pipeline.nothing_to_do,
    **starting.all_stages(),
}
ROWS = SHORT | LONG
