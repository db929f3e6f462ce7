"""Store the data with which `belong learn` fits a model again: `learning.safetensors`.

`belong fit` writes the file into the model. It has the embedding of each image above a frozen
backbone, or the views of a network that was trained as a whole, with the labels and the parameters.
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
MOST_BYTES = 2**29  # a larger file is not written
KINDS = ("normal/", "anomaly/test", "derived/")  # prefixes of the stored parts
TRAIN, HELD_OUT, TEST = "normal/train", "normal/calibration", "normal/test"
FOREIGN = "reviewed/foreign"  # images marked as not belonging
SHOWN = f"{TRAIN}/shown"
REVIEWED = f"{TRAIN}/reviewed"  # whether a training image comes from a review
PREDICTED = f"{HELD_OUT}/predicted"  # predicted classes of the calibration images, 0..c-1
VECTORS = "vectors"
CODES = ("codes", "reconstruction_error")


@dataclass(frozen=True)
class LearningData:
    """The data of all images that a model was fitted to, calibrated with and tested on.

    Attributes:
        arrays: `PART/vectors` above a frozen backbone, otherwise `PART/VIEW`; `PART/codes` and
            `PART/reconstruction_error` if a detector needs the autoencoder; `PART/labels`; the
            indices of the training images that the model shows; the predicted classes of the
            calibration images; and which training images come from a review. A cross-conformal
            model has no calibration part, and may have no test part.
        parameters: the parameters of the fit.
    """

    arrays: Mapping[str, np.ndarray]
    parameters: Parameters

    @property
    def parts(self) -> list[str]:
        """The names of the available parts."""
        return sorted({name.rpartition("/")[0] for name in self.arrays})

    @property
    def is_frozen(self) -> bool:
        """Whether the arrays are embeddings of a frozen backbone."""
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
        """Select the data of a fit that are stored.

        Args:
            features: `PART/VIEW` of all parts, and labels.
            vectors: `PART/vectors` above a frozen backbone, or empty.
            parameters: the parameters of the fit.
            uses: the detectors of the model.
            predicted: (n,) int64, the predicted classes of the calibration images.
        """
        views = {name.rpartition("/")[2] for name in Views.names("")}
        stored_names = {"labels"} if vectors else {"labels", *views} - {*CODES}
        stored_names |= {*CODES} if CODED.intersection(uses) else set()
        all_arrays = dict(vectors) | {
            name: array
            for name, array in features.items()
            if name.rpartition("/")[2] in stored_names
        }
        arrays = {name: array for name, array in all_arrays.items() if name.startswith(KINDS)}
        most, rng = parameters.bundle.training_images, shown_by(parameters.seed)
        arrays[SHOWN] = shown_rows(arrays[f"{TRAIN}/labels"], most=most, rng=rng)
        arrays[PREDICTED] = predicted
        return cls(arrays, parameters)

    def save(self, folder: Path, digest: str) -> bool:
        """Write the file, with the SHA-256 `digest` of the manifest; return False if too large."""
        if sum(array.nbytes for array in self.arrays.values()) > MOST_BYTES:
            return False
        about = {"parameters": self.parameters.model_dump(by_alias=True), "manifest": digest}
        save_arrays(folder / NAME, self.arrays, about)
        return True

    @classmethod
    def load(cls, folder: Path, digest: str) -> Self:
        """Read the file.

        Raises:
            InputError: the file is missing, or belongs to another model.
        """
        path, name = folder / NAME, printable(folder / NAME)
        if not path.is_file():
            raise InputError(
                f"{printable(folder)}: has no {NAME}, the training data that `belong fit` saves; "
                f"fit the model again, with the new images in its folder"
            )
        about = load_about(path, "parameters", "manifest")
        if about["manifest"] != digest:
            raise InputError(f"{name}: belongs to another model than {printable(folder)}")
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
