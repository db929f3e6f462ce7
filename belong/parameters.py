"""Define params.yaml as typed, frozen models: every key with its type and its range.

    parameters = Parameters.load(Path("params.yaml"))
    parameters.train.epochs

`belong.runtime.typed_yaml` reports errors in a file. params.yaml explains the keys. This module has
only the types, the ranges and the known names. No stage depends on it, because the package that
uses a value defines its meaning.
"""

import difflib
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from belong.runtime.arguments import is_rgb
from belong.runtime.errors import InputError
from belong.runtime.typed_yaml import Section

MOST_PIXELS = 178_956_970  # of an image file; Pillow refuses larger ones

# Networks that are trained from scratch; each is a file of this name in belong/models.
FROM_SCRATCH = ("lenet", "small_cnn")
# Names of the networks on a backbone.
FROZEN, FINE_TUNED = "frozen", "fine_tuned"
# Backbones with names of their own; timm has more. The catalog imports torch and this module, so it
# cannot be imported here; a test compares the two.
NAMED_BACKBONES = (
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "efficientnet_b0",
)
COLORS = ("white", "black")  # names of backgrounds, see `belong.data.image_form`

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Ridge = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Quantile = Annotated[float, Field(gt=0, le=1)]
Path = Annotated[str, Field(min_length=1)]


def _classes(value: object) -> object:
    """Check the form only, as the classes depend on the data set."""
    for name in value if isinstance(value, list) else [value]:
        if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
            raise ValueError(
                "all, none, a class, a list of classes or a range such as 0-9 (in quotes: a name "
                "that YAML reads as a date, null, true, false or a number with a dot or exponent)"
            )
    return value


def _color(value: object) -> object:
    is_name = isinstance(value, str) and value in COLORS
    if not (is_name or (isinstance(value, list) and is_rgb(value))):
        raise ValueError("white, black or three numbers from 0 to 255")
    return value


def _members(value: Any) -> Any:
    """Check the form only; `belong.detectors.registry.unknown_names` checks the names."""
    if value == "auto":
        return "auto"
    is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if not is_list or len(value) < 2 or len(set(value)) < len(value):
        raise ValueError("auto, or a list of at least 2 detectors, each once")
    return value


def check_network(name: str) -> str:
    """Return the name of a network, if it exists.

    Raises:
        InputError: the name is unknown; the message has the nearest names.
    """
    try:
        return _network(name)
    except ValueError as error:
        raise InputError(f"network {name}: expected {error}") from None


def _network(value: object) -> str:
    named = *FROM_SCRATCH, *NAMED_BACKBONES
    if value in named or value == "module":  # the user's module, see belong.models.backbones
        return str(value)
    import timm  # imported here: it takes seconds, and only its 1,300 other names need it

    if not (isinstance(value, str) and timm.is_model(value)):
        near = difflib.get_close_matches(str(value), named, n=1, cutoff=0.9)
        near += difflib.get_close_matches(str(value), timm.list_models(), n=3, cutoff=0.0)
        nearest = ", ".join(list(dict.fromkeys(near))[:3])
        raise ValueError(f"the name of a network; the nearest are {nearest}")
    try:
        timm.get_pretrained_cfg(value, allow_unregistered=False)
    except RuntimeError:  # a known name with an unknown suffix after a dot
        name = value.split(".")[0]
        near = difflib.get_close_matches(value, timm.list_pretrained(f"{name}.*"), n=3, cutoff=0.0)
        raise ValueError(
            f"the name of a network with weights; the nearest are {', '.join(near) or name}"
        ) from None
    if value.split(".")[0].removeprefix("tf_") in NAMED_BACKBONES[:3]:
        raise ValueError(f"{value.split('.')[0].removeprefix('tf_')}, whose weights come with pip")
    return value


class DataSetSection(Section):
    """The path and the classes of a data set."""

    path: Path
    classes: Annotated[str | int | list[str | int], PlainValidator(_classes)]


class ImagesSection(Section):
    """The conversion of image files to pixels."""

    side_px: Count
    color: Literal["auto", "grey", "rgb"]
    background: Annotated[str | list[int], PlainValidator(_color)]
    max_bad_fraction: Annotated[float, Field(ge=0, le=1)]
    # Pillow refuses larger images.
    max_pixels: Annotated[int, Field(ge=1, le=MOST_PIXELS)]


class SplitSection(Section):
    """The division of the images into parts."""

    test_fraction: Share
    max_gigabytes: Rate
    further_images: Count
    calibration_fraction: Share


class DeriveSection(Section):
    """The number of derived anomalies of each kind."""

    images: Count


class BackboneSection(Section):
    """The initial weights of a backbone, and whether it is frozen."""

    weights: Path
    frozen: bool
    dtype: Literal["float32", "bfloat16"] = "float32"  # type in which a frozen backbone computes

    @model_validator(mode="after")
    def _frozen_weights_are_given(self) -> Self:
        if self.frozen and self.weights == "none":
            raise ValueError("weights where the backbone is frozen: pretrained or a file")
        return self


class FurtherSection(Section):
    """Further sets of anomalies, see `belong.data.further_sets`."""

    path: Path
    letters: Annotated[int, Field(ge=0)]


class TrainSection(Section):
    """Stochastic gradient descent on cross entropy + lambda x center loss."""

    epochs: Count
    batch_size: Count
    learning_rate: Rate
    momentum: Annotated[float, Field(ge=0, lt=1)]
    weight_decay: Annotated[float, Field(ge=0)]
    center_rate: Annotated[float, Field(ge=0, le=1)]
    shift_px: Annotated[int, Field(ge=0)]
    flip: bool
    embedding: Annotated[int, Field(ge=2)]


class MahalanobisSection(Section):
    """The fit of the Gaussians and their thresholds."""

    quantile: Quantile
    ridge: Ridge
    covariance: Literal["auto", "per_class", "shrunk", "tied", "pca"]


class HeadSection(Section):
    """The training of the supervised head 256-256-1."""

    epochs: Count
    batch_size: Count
    learning_rate: Rate


class AutoencoderSection(Section):
    """The autoencoder of paper B, with 50 hidden units, and its training."""

    units: Count
    epochs: Count
    batch_size: Count
    learning_rate: Rate
    most_side_px: Count


class CodeKnnSection(Section):
    """Parameters of `code_knn`."""

    k: Count


class CodeIforestSection(Section):
    """Parameters of `code_iforest`."""

    trees: Count
    # Each vector is compared with every cut of a tree; larger samples have too many cuts.
    sample: Annotated[int, Field(ge=2, le=4096)]


class GenSection(Section):
    """Parameters of `gen`."""

    gamma: Share
    top: Count


class TiedMahalanobisSection(Section):
    """Parameters of `mahalanobis_tied`."""

    ridge: Ridge


class RelativeMahalanobisSection(Section):
    """Parameters of `relative_mahalanobis`."""

    ridge: Ridge


class FeatureKnnSection(Section):
    """Parameters of `feature_knn`."""

    k: Count


class NormalizedMahalanobisSection(Section):
    """Parameters of `mahalanobis_normalized`."""

    ridge: Ridge


class HiddenKnnSection(Section):
    """Parameters of `hidden_knn`."""

    k: Count


class VimSection(Section):
    """Parameters of `vim`."""

    principal: Count


class GramSection(Section):
    """Parameters of `gram_maps`."""

    powers: Annotated[int, Field(ge=1, le=20)]


class DetectorsSection(Section):
    """A section for each detector with parameters, by its name in the registry."""

    code_knn: CodeKnnSection
    code_iforest: CodeIforestSection
    gen: GenSection
    mahalanobis_tied: TiedMahalanobisSection
    relative_mahalanobis: RelativeMahalanobisSection
    feature_knn: FeatureKnnSection
    vim: VimSection
    # One Gaussian per class, as on the features.
    mahalanobis_maps: MahalanobisSection
    gram_maps: GramSection
    mahalanobis_hidden: MahalanobisSection
    mahalanobis_layers: MahalanobisSection
    mahalanobis_normalized: NormalizedMahalanobisSection
    hidden_knn: HiddenKnnSection


class CombinedSection(Section):
    """The members of `combined`, and their tail."""

    members: Annotated[list[str] | Literal["auto"], PlainValidator(_members)]
    tail: Share


class CalibrationSection(Section):
    """The threshold, and the promised false-rejection rate."""

    threshold: Literal["calibrated", "training"]
    alpha: Share
    guarantee: Literal["marginal", "training-conditional", "per-class"] = "marginal"


class StudySection(Section):
    """The numbers of images to which the stage `study_covariance` fits its Gaussians."""

    ratios: Annotated[list[Rate], Field(min_length=1)]
    draws: Count


class PromiseSection(Section):
    """The number of splits of the normal images in the stage `study_promise`."""

    splits: Count


class EvaluateSection(Section):
    """The resolution of the curves, and of the intervals."""

    resamples: Annotated[int, Field(ge=20, le=100_000)]
    top_images: Annotated[int, Field(ge=1, le=100)]
    top_share: Quantile
    curve_points: Annotated[int, Field(ge=10, le=100_000)]
    calibration_points: Annotated[int, Field(ge=2, le=1000)]
    feature_points: Annotated[int, Field(ge=2, le=100_000)]
    histogram_bins: Annotated[int, Field(ge=2, le=10_000)]


class BundleSection(Section):
    """The content of the saved model."""

    detector: Annotated[str, Field(min_length=1)]  # see `belong.detectors.registry.unknown_names`
    training_images: Annotated[int, Field(ge=1, le=1_000_000)]


class Parameters(Section):
    """The content of params.yaml, in the same order."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    lambda_: Annotated[float, Field(ge=0, alias="lambda")]
    network: Annotated[str, PlainValidator(_network)]
    backbone: BackboneSection
    device: Literal["auto", "cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=1024)]
    math: Literal["portable", "fast"]
    normal: DataSetSection
    anomaly: DataSetSection
    unseen: DataSetSection
    images: ImagesSection
    split: SplitSection
    derive: DeriveSection
    further: FurtherSection
    train: TrainSection
    mahalanobis: MahalanobisSection
    head: HeadSection
    autoencoder: AutoencoderSection
    detectors: DetectorsSection
    combined: CombinedSection
    calibration: CalibrationSection
    study: StudySection
    promise: PromiseSection
    evaluate: EvaluateSection
    bundle: BundleSection
