"""What a model says of itself: `manifest.json`, which also vouches for the files beside it.

It holds the SHA-256 of each other file and, in its last line, the one of its own text before: a
bit that has changed anywhere is found. That guards against damage, not against an attacker, who
could make a new manifest; whoever wants that compares its SHA-256 (`Manifest.digest`).
"""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError

from belong.calibration.sample_size import MARGINAL, Guarantee
from belong.calibration.verdict import ThresholdKind
from belong.data.image_form import ImageForm, _Facts
from belong.evaluation.assessment import Assessment
from belong.evaluation.learning_curve import LearningCurve
from belong.models.backbones.card import BackboneCard
from belong.parameters import CombinationRule
from belong.runtime.errors import InputError
from belong.runtime.storage import read_bytes

NAME = "manifest.json"
FORMAT: Literal[2] = 2  # of the folder; a new number wherever an older `belong` would misread it

OPTIONAL = (
    "cross_conformal",
    "learning_curve",
)  # fields that are not written where there is nothing to say

MOST_BYTES = 2**24
MOST_DIGITS = 20  # of a whole number
# A model may be a stranger's: what it claims must not take all memory or time.
MOST_IMAGES = 2**22  # calibration images; a float32 of 2**24 counts no further
MOST_NAMES = 64  # of detectors
MOST_SIZE = 2**16  # of a network's layer
Count = Annotated[int, Field(ge=0, le=2**53)]
Size = Annotated[int, Field(ge=1, le=MOST_SIZE)]
Rate = Annotated[float, Field(ge=0, le=1)]
# Fields that older models lack, and what stands for it: then they are not written.
LATER = {"combination": "fisher", "guarantee": MARGINAL, "temperature": 1.0}


class IntegrityError(InputError):
    """A model is not, byte for byte, what was saved, or of a format that is not known."""

    exit_code = 4


class Measured(_Facts):
    """What the model was measured at, on images that nothing was fitted to.

    Attributes:
        accuracy: share of the normal test images whose class is right; None of one class.
        normal_images, anomalies: so many there were.
        auroc: of the detector in force; None without anomalies.
        false_reject: share of the normal test images that it rejects.
        expected: the range that holds this share in 95 of 100 cases, given alpha and the numbers
            of images.
        false_accept: share of the anomalies that it accepts; None without any.
    """

    accuracy: Rate | None
    normal_images: Count
    anomalies: Count
    auroc: Rate | None
    false_reject: Rate
    expected: tuple[Rate, Rate]
    false_accept: Rate | None


class CrossConformal(_Facts):
    """How a model was calibrated whose training images calibrate too.

    Attributes:
        folds: into which they were divided, see `belong.calibration.cross_conformal`.
        tests_itself: whether they were the test too, as there was none.
    """

    folds: Annotated[int, Field(ge=2)]
    tests_itself: bool


class TrainedOn(_Facts):
    """What it was trained on.

    Attributes:
        normal, anomalies: the names of the data sets; of the latter, those that measure it.
        images: part -> number.
        weight: lambda, of the center loss.
        seed: drew the parts, the weights and the order.
    """

    normal: str
    anomalies: str | None
    images: dict[str, Count]
    weight: float
    seed: Annotated[int, Field(ge=-(2**63), lt=2**64)]


class StoredFile(_Facts):
    """Another file of the folder."""

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    bytes: Count


class Manifest(_Facts):
    """All that is known of a model but its arrays.

    Attributes:
        format: of the folder.
        created_by: versions of Python and of the packages that it was made with.
        class_names: the c classes, in the order of the logits.
        form: of the images.
        network: its name in `belong.models.registry.NETWORKS`; "frozen": the file `backbone` and
            what was trained above it; "fine_tuned": a backbone all of which was trained.
        shape: the keywords that the network is built with.
        backbone: what it is, if there is one.
        detector: the one in force: its verdict is the model's.
        members: the detectors that `combined` is made of, if it is in force; else none.
        left_out: the candidates of `combined` that are blind on these images, and why.
        tail: of the calibration scores, see `belong.detectors.combined`.
        combination: how the members are added up; models without it were made with "fisher".
        temperature: what divides the logits before they become a probability; models without it
            were made with 1.
        alpha: the promised share of false rejects.
        guarantee: of what that share is kept; models without it: "marginal".
        n_calibration: the number of held-out images that set the threshold.
        cross_conformal: how the training images did, if none were held out.
        threshold: the score up to which an image belongs; of "per-class" that of all classes,
            which decides where a class has too few calibration images.
        distance_limit: the distance to the nearest class, in that class's threshold, up to which
            an image would belong if `mahalanobis` were in force at alpha: the unit of distances.
        threshold_from: "calibrated" (held-out images) or "training" (the paper's).
        measured, trained_on: for the reader.
        files: name -> what it must be.
        assessment: how good the model is, in words.
        learning_curve: what more images would bring; None unless the backbone is frozen.
    """

    format: Literal[2]
    created_by: dict[str, str]
    class_names: Annotated[list[str], Field(min_length=1)]
    form: ImageForm
    network: str
    shape: Annotated[dict[str, Size], Field(max_length=MOST_NAMES)]
    backbone: BackboneCard | None
    detector: str
    members: Annotated[list[str], Field(max_length=MOST_NAMES)]
    left_out: dict[str, str]
    tail: Annotated[float, Field(gt=0, lt=1)]
    combination: CombinationRule = "fisher"
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    alpha: Annotated[float, Field(gt=0, lt=1)]
    guarantee: Guarantee = MARGINAL
    n_calibration: Annotated[int, Field(ge=1, le=MOST_IMAGES)]
    cross_conformal: CrossConformal | None = None
    threshold: float
    distance_limit: Annotated[float, Field(gt=0)]
    threshold_from: ThresholdKind
    measured: Measured
    trained_on: TrainedOn
    files: dict[Annotated[str, Field(pattern=r"^[a-z_]+\.safetensors$")], StoredFile]
    assessment: Assessment
    learning_curve: LearningCurve | None = None

    @property
    def tests_itself(self) -> bool:
        """Whether the training images were the test, each by what was fitted without it."""
        return self.cross_conformal is not None and self.cross_conformal.tests_itself

    @property
    def uses(self) -> list[str]:
        """The detectors that are asked, but for `combined` itself."""
        asked = self.members or [self.detector]
        return asked if "mahalanobis" in asked else [*asked, "mahalanobis"]

    @property
    def text(self) -> str:
        """The content of manifest.json."""
        unsaid = {name for name in LATER if getattr(self, name) == LATER[name]}
        unsaid |= {name for name in OPTIONAL if getattr(self, name) is None}
        body = self.model_dump(mode="json", exclude=unsaid)
        return _dumped(body | {"sha256": _sha256(_dumped(body))})

    @property
    def digest(self) -> str:
        """The SHA-256 of manifest.json, which stands for the whole model."""
        return _sha256(self.text)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read manifest.json.

        Raises:
            IntegrityError: as of `parse`, or it is too large to be one.
        """
        if (size := path.stat().st_size) > MOST_BYTES:
            raise IntegrityError(f"{path}: has {size} bytes; no manifest has above {MOST_BYTES}")
        return cls.parse(read_bytes(path, most=MOST_BYTES), str(path))

    @classmethod
    def parse(cls, content: bytes, where: str) -> Self:
        """Read what `text` gave; `where` is the file, for messages.

        Raises:
            IntegrityError: another format, or not exactly what was written.
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
        return manifest


def _bounded(digits: str) -> int:
    """Return a whole number, unless it is beyond all that a manifest counts."""
    if len(digits) > MOST_DIGITS:
        raise ValueError("a number is too long")
    return int(digits)


def _dumped(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, allow_nan=False) + "\n"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
