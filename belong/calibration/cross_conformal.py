"""Calibrate with few images: every image trains, and every image calibrates.

The images are divided into folds. Each is scored by a network and by detectors that were fitted
without its fold; these scores set the threshold of the model that is fitted to all images. Such
p-values are those of the jackknife (and, with folds, of cross-validation) as Barber, Candes,
Ramdas and Tibshirani compare them with jackknife+ and CV+ (Predictive inference with the
jackknife+, Annals of Statistics 2021, https://arxiv.org/abs/1905.02928); for outliers see Bates et
al. (2023, https://arxiv.org/abs/2104.08279) and Hennhoefer and Preisach (2024). The folds' models
are not kept, as in Vovk's cross-conformal predictors (Annals of Mathematics and Artificial
Intelligence 2015, https://arxiv.org/abs/1208.0806): K of them take K times the place and the time,
and the bound that is proven for them is twice alpha. Without them, alpha is kept as far as the
scores hardly change when a fold is left out; `python -m reproduction.few_images.study` measures
how far.
"""

import numpy as np

FOLDS = 10
LEAST_OF_CLASS = 3  # images: whichever fold is left out, two are left to fit


def deal(labels: np.ndarray, *, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the fold of each image (n,) int64, 0..count-1: each class is spread evenly.

    In a random order the images of one class after the other are dealt out like cards.
    """
    folds = np.empty(len(labels), np.int64)
    order = rng.permutation(len(labels))
    folds[order[np.argsort(labels[order], kind="stable")]] = np.arange(len(labels)) % count
    return folds
