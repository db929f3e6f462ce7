"""What `belong learn` fits a model to again, without its images: `learning.safetensors` beside it.

`belong fit` keeps there what the network takes of each image (the vectors of a frozen backbone), or
what a network that was trained whole makes of it, with the labels and the parameters.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from belong.models.activations import Views
from belong.parameters import Parameters
from belong.prediction.build_bundle import CODED, shown_by, shown_rows
from belong.runtime.errors import InputError
from belong.runtime.storage import load_about, load_arrays, save_arrays
from belong.runtime.text import printable

NAME = "learning.safetensors"
MOST_BYTES = 2**29  # beyond, nothing is kept: the file would be larger than many a data set
KINDS = ("normal/", "anomaly/test", "derived/")  # of the parts that are kept
TRAIN, HELD_OUT, TEST = "normal/train", "normal/calibration", "normal/test"
FOREIGN = "reviewed/foreign"  # what a person said not to belong
SHOWN = f"{TRAIN}/shown"
REVIEWED = f"{TRAIN}/reviewed"  # whether a person said it
PREDICTED = f"{HELD_OUT}/predicted"  # classes, 0..c-1: how often each is usual
VECTORS = "vectors"
CODES = ("codes", "reconstruction_error")


@dataclass(frozen=True)
class LearningData:
    """The vectors of all images that a model was fitted to, calibrated with and tested on.

    Attributes:
        arrays: `PART/vectors` of a network on a frozen backbone, else `PART/VIEW`; `PART/codes` and
            `PART/reconstruction_error` if a detector looks at the autoencoder; `PART/labels`; and
            the places of the training images that the model shows, and the predicted classes of
            the calibration images; and which training images come from a review. Where the training
            images calibrate, no other images do, and none may test.
        parameters: of the fit.
    """

    arrays: Mapping[str, np.ndarray]
    parameters: Parameters

    @property
    def parts(self) -> list[str]:
        """The parts that there are."""
        return sorted({name.rpartition("/")[0] for name in self.arrays})

    @property
    def is_frozen(self) -> bool:
        """Whether there are the vectors of a frozen backbone."""
        return f"{TRAIN}/{VECTORS}" in self.arrays

    @classmethod
    def of_fit(
        cls,
        features: Mapping[str, np.ndarray],
        vectors: Mapping[str, np.ndarray],
        parameters: Parameters,
        *,
        uses: Collection[str],
        predicted: np.ndarray,
    ) -> Self:
        """Return what is kept of a fit.

        Args:
            features: `PART/VIEW` of all parts, and labels.
            vectors: `PART/vectors`, of a network on a frozen backbone.
            parameters: of the fit.
            uses: the detectors that the model asks.
            predicted: (n,) int64, the predicted classes of the calibration images.
        """
        views = {name.rpartition("/")[2] for name in Views.names("")}
        kept = {"labels"} if vectors else {"labels", *views} - {*CODES}
        kept |= {*CODES} if CODED.intersection(uses) else set()
        every = dict(vectors) | {
            name: array for name, array in features.items() if name.rpartition("/")[2] in kept
        }
        arrays = {name: array for name, array in every.items() if name.startswith(KINDS)}
        most, rng = parameters.bundle.training_images, shown_by(parameters.seed)
        arrays[SHOWN] = shown_rows(arrays[f"{TRAIN}/labels"], most=most, rng=rng)
        arrays[PREDICTED] = predicted
        return cls(arrays, parameters)

    def save(self, folder: Path, digest: str) -> bool:
        """Write the file beside a model, whose manifest has this SHA-256; return if it is small."""
        if sum(array.nbytes for array in self.arrays.values()) > MOST_BYTES:
            return False
        about = {"parameters": self.parameters.model_dump(by_alias=True), "manifest": digest}
        save_arrays(folder / NAME, self.arrays, about)
        return True

    @classmethod
    def load(cls, folder: Path, digest: str) -> Self:
        """Read the file.

        Raises:
            InputError: there is none, or it is not that of the model.
        """
        path, name = folder / NAME, printable(folder / NAME)
        if not path.is_file():
            raise InputError(
                f"{printable(folder)}: has no {NAME}, in which `belong fit` keeps what it learned "
                f"from; expected such a model: fit it again, with the new images in its folder"
            )
        about = load_about(path, "parameters", "manifest")
        if about["manifest"] != digest:
            raise InputError(f"{name}: is of another model than the {printable(folder)} it is in")
        try:
            parameters = Parameters.model_validate(about["parameters"])
        except ValueError:
            raise InputError(
                f"{name}: was written by another version of belong; fit the model again"
            ) from None
        data = cls(load_arrays(path), parameters)
        if not {SHOWN, PREDICTED, f"{TRAIN}/labels"} <= data.arrays.keys():
            raise InputError(f"{name}: is not complete; fit the model again")
        return data
