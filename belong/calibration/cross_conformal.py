"""Calibrate with few images: every image is used both for training and for calibration.

The images are divided into folds. Each image is scored by a network and detectors that were fitted
without its fold. These scores set the threshold of the model that is fitted to all images. The
p-values are those of the jackknife (with folds: of cross-validation), which Barber, Candes, Ramdas
and Tibshirani compare with jackknife+ and CV+ (Predictive inference with the jackknife+, Annals of
Statistics 2021, https://arxiv.org/abs/1905.02928). For outlier detection see Bates et al. (2023,
https://arxiv.org/abs/2104.08279) and Hennhoefer and Preisach (2024).

Vovk's cross-conformal predictors (Annals of Mathematics and Artificial Intelligence 2015,
https://arxiv.org/abs/1208.0806) also use the models of the K folds for new images, which takes K
times the memory and time; the proven bound is twice alpha. Here these models are discarded. The
rate alpha then holds to the extent that scores hardly change when a fold is left out, which
`python -m reproduction.few_images.study` measures.
"""

import numpy as np

FOLDS = 10
LEAST_OF_CLASS = 3  # images of a class: at least two remain when a fold is left out


def deal(labels: np.ndarray, *, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each image, (n,) int64, 0..count-1; each class is spread evenly.

    The images are sorted by class, in a random order within each class, and dealt to the folds like
    cards. `labels` (n,) int64; `rng` draws the order.
    """
    folds = np.empty(len(labels), np.int64)
    order = rng.permutation(len(labels))
    folds[order[np.argsort(labels[order], kind="stable")]] = np.arange(len(labels)) % count
    return folds
