"""Read and write `manifest.json`, which describes a model and has the checksums of its files.

The manifest has the SHA-256 of each other file and, in its last line, that of its own preceding
text, so any changed bit is detected. This protects against damage, not against an attacker, who can
write a new manifest. To detect an exchanged model, compare its SHA-256 (`Manifest.digest`).
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from belong.calibration.sample_size import MARGINAL, Guarantee
from belong.calibration.verdict import ThresholdKind
from belong.data.image_form import ImageForm, _Facts
from belong.detectors.combination import CombinationRule
from belong.evaluation.assessment import Assessment
from belong.evaluation.learning_curve import LearningCurve
from belong.models.backbones.card import BackboneCard
from belong.runtime.errors import InputError
from belong.runtime.storage import read_bytes
from belong.runtime.text import printable

NAME = "manifest.json"
FORMAT: Literal[2] = 2  # format of the folder; increased if an older `belong` would misread it

OPTIONAL = (
    "cross_conformal",
    "learning_curve",
)  # fields that are not written if they are empty

MOST_BYTES = 2**24
MOST_DIGITS = 20  # maximum digits of a whole number
# Limits for untrusted models, which must not exhaust memory or time.
MOST_IMAGES = 2**22  # calibration images; float32 counts exactly up to 2**24
MOST_NAMES = 64  # detectors
MOST_SIZE = 2**16  # size of a layer of a network
Count = Annotated[int, Field(ge=0, le=2**53)]
Size = Annotated[int, Field(ge=1, le=MOST_SIZE)]
Rate = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(max_length=100)]  # of a network or a detector
# Fields that older models lack -> their default, which is not written.
LATER = {"combination": "fisher", "guarantee": MARGINAL, "temperature": 1.0}


class IntegrityError(InputError):
    """The bytes of a model differ from those that were saved, or its format is unknown."""

    exit_code = 4


class Measured(_Facts):
    """The metrics of the model on test images.

    Attributes:
        accuracy: share of correctly classified normal test images; None with one class.
        normal_images, anomalies: numbers of test images.
        auroc: AUROC of the deciding detector; None without anomalies.
        false_reject: share of rejected normal test images.
        expected: range of `false_reject` in 95 of 100 cases, given alpha and the numbers of
            images.
        false_accept: share of accepted anomalies; None without anomalies.
    """

    accuracy: Rate | None
    normal_images: Count
    anomalies: Count
    auroc: Rate | None
    false_reject: Rate
    expected: tuple[Rate, Rate]
    false_accept: Rate | None


class CrossConformal(_Facts):
    """The cross-conformal calibration of a model, with its training images.

    Attributes:
        folds: number of folds, see `belong.calibration.cross_conformal`.
        tests_itself: whether the training images also are the test images.
    """

    folds: Annotated[int, Field(ge=2)]
    tests_itself: bool


class TrainedOn(_Facts):
    """The training data and parameters of a model.

    Attributes:
        normal, anomalies: names of the data sets.
        images: part -> number of images.
        weight: lambda, the weight of the center loss.
        seed: random seed of the split, the weights and the order of the images.
    """

    normal: str
    anomalies: str | None
    images: dict[str, Count]
    weight: float
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)]


class StoredFile(_Facts):
    """A file of the model, with its size and checksum."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Count


class Manifest(_Facts):
    """The description of a model, without its arrays.

    Attributes:
        format: format of the folder.
        created_by: versions of Python and of the packages with which the model was created.
        class_names: the c classes, in the order of the logits.
        form: the form of the images.
        network: name in `belong.models.registry.NETWORKS`; "frozen": layers above the frozen
            backbone in the file `backbone`; "fine_tuned": a backbone that was trained as a whole.
        shape: the keywords for building the network.
        backbone: the description of the backbone, or None.
        detector: the deciding detector.
        members: the members of `combined`, if it decides; otherwise empty.
        left_out: candidate of `combined` that is no member -> the reason.
        tail: share of the calibration scores in the tail, see `belong.detectors.combined`.
        combination: the rule of `combined`; "fisher" if missing.
        temperature: the divisor of the logits for probabilities; 1 if missing.
        alpha: promised false-rejection rate.
        guarantee: scope of alpha; "marginal" if missing.
        n_calibration: number of images that calibrate the threshold; half of the held-out images
            for `combined`, all training images in a cross-conformal model.
        cross_conformal: the cross-conformal calibration; None if images are held out.
        threshold: the score up to which an image belongs; with "per-class", the threshold of all
            classes, which is used for a class with too few calibration images.
        distance_limit: the unit of distances: the calibrated threshold of `mahalanobis` at alpha.
        threshold_from: "calibrated" (held-out images) or "training" (the paper's).
        measured, trained_on: information for the user.
        files: name -> size and checksum.
        assessment: the quality of the model, in words.
        learning_curve: the estimated benefit of more images; None unless the backbone is frozen.
    """

    format: Literal[2]
    created_by: dict[str, str]
    class_names: Annotated[list[str], Field(min_length=1)]
    form: ImageForm
    network: Name
    shape: Annotated[dict[str, Size], Field(max_length=MOST_NAMES)]
    backbone: BackboneCard | None
    detector: Name
    members: Annotated[list[Name], Field(max_length=MOST_NAMES)]
    left_out: dict[str, str]
    tail: Annotated[float, Field(gt=0, lt=1)]
    combination: CombinationRule = "fisher"
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    alpha: Annotated[float, Field(gt=0, lt=1)]
    guarantee: Guarantee = MARGINAL
    n_calibration: Annotated[int, Field(ge=1, le=MOST_IMAGES)]
    cross_conformal: CrossConformal | None = None
    threshold: float
    distance_limit: Annotated[float, Field(ge=1e-30, le=1e30)]  # distances are float32
    threshold_from: ThresholdKind
    measured: Measured
    trained_on: TrainedOn
    files: dict[Annotated[str, Field(pattern=r"^[a-z_]+\.safetensors$")], StoredFile]
    assessment: Assessment
    learning_curve: LearningCurve | None = None

    @property
    def tests_itself(self) -> bool:
        """Whether the training images are the test images, each scored by fits without it."""
        return self.cross_conformal is not None and self.cross_conformal.tests_itself

    @property
    def uses(self) -> list[str]:
        """The detectors that score images: the deciding one or the members, and `mahalanobis`."""
        deciding = self.members or [self.detector]
        return deciding if "mahalanobis" in deciding else [*deciding, "mahalanobis"]

    @property
    def text(self) -> str:
        """The content of manifest.json."""
        unsaid = {name for name in LATER if getattr(self, name) == LATER[name]}
        unsaid |= {name for name in OPTIONAL if getattr(self, name) is None}
        body = self.model_dump(mode="json", exclude=unsaid)
        return _dumped(body | {"sha256": _sha256(_dumped(body))})

    @property
    def digest(self) -> str:
        """The SHA-256 of manifest.json, which identifies the whole model."""
        return _sha256(self.text)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read manifest.json.

        Raises:
            IntegrityError: see `parse`; or the file is too large.
        """
        if (size := path.stat().st_size) > MOST_BYTES:
            raise IntegrityError(f"{path}: expected at most {MOST_BYTES:,} bytes, got {size:,}")
        return cls.parse(read_bytes(path, most=MOST_BYTES), str(path))

    @classmethod
    def parse(cls, content: bytes, where: str) -> Self:
        """Parse the content of manifest.json; `where` is the file, for messages.

        Raises:
            IntegrityError: the format is unknown, or the content was changed after writing.
        """
        altered = IntegrityError(f"{where}: is cut off or altered; it is not what was saved")
        try:
            values = json.loads(content, parse_int=_bounded)
            again = _dumped(values) if isinstance(values, dict) else ""
        except (ValueError, RecursionError):
            raise altered from None
        if not isinstance(values, dict) or "format" not in values:
            raise IntegrityError(f"{where}: is not the manifest of a model of `belong`")
        if values["format"] != FORMAT:
            raise IntegrityError(
                f"{where}: is of format {json.dumps(values['format'])[:20]}; this version of "
                f"belong reads format {FORMAT}"
            )
        body = {key: value for key, value in values.items() if key != "sha256"}
        if again.encode() != content or values.get("sha256") != _sha256(_dumped(body)):
            raise altered
        try:
            manifest = cls.model_validate_json(_dumped(body))
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            raise IntegrityError(f"{where}: {key[:80]}: {first['msg'].lower()}") from None
        if len(set(manifest.members)) < len(manifest.members):
            raise IntegrityError(f"{where}: members: a detector is named twice")
        names = manifest.class_names
        if len(set(names)) < len(names):
            raise IntegrityError(f"{where}: class_names: a class is named twice")
        if any(not name or name != printable(name) for name in names):
            raise IntegrityError(f"{where}: class_names: expected text without control characters")
        return manifest


def _bounded(digits: str) -> int:
    """Parse a whole number; refuse one with more than MOST_DIGITS digits."""
    if len(digits) > MOST_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _dumped(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
