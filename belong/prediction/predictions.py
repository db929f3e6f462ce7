"""Hold the predictions for n images: the scores of a model, and the verdicts in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from belong.calibration.verdict_rule import VerdictRule
from belong.prediction.explanations import frames_note, reason
from belong.runtime.arguments import refuse

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "path", "class", "probability", "belongs", "p_value", "score", "nearest_class", "distance",
    "detector", "reason",
)  # fmt: skip
# Column -> its value for an unreadable file, and its type.
UNREAD: dict[str, tuple[object, type]] = {
    "label": ("", object), "probability": (np.nan, np.float32), "belongs": (False, bool),
    "p_value": (np.nan, np.float64), "score": (np.nan, np.float32), "nearest_class": ("", object),
    "distance": (np.nan, np.float32), "detector": ("", object),
}  # fmt: skip


@dataclass(frozen=True)
class Scores:
    """The output of a model for n images.

    Attributes:
        label: (n,) int64, the predicted class, 0..c-1.
        probability: (n,) float32, of the predicted class.
        belongs: (n,) bool, the verdict.
        p_value: (n,) float64, share of the held-out images that are at least as anomalous.
        score: (n,) float32, of the deciding detector, higher is more anomalous.
        nearest: (n,) int64, the nearest class, by distances divided by the threshold of the class.
        distance: (n,) float32, to the nearest class; 1 is the limit calibrated on held-out images.
        detector: (n,) str, the deciding detector; for `combined`, the member with the largest
            surprise.
        features: (n, d) float32, the last hidden layer of the classifier.
    """

    label: np.ndarray
    probability: np.ndarray
    belongs: np.ndarray
    p_value: np.ndarray
    score: np.ndarray
    nearest: np.ndarray
    distance: np.ndarray
    detector: np.ndarray
    features: np.ndarray

    def by(self, rule: VerdictRule) -> Self:
        """Return the same scores with the verdicts and p-values of a rule."""
        return replace(
            self,
            belongs=rule.belongs(self.score, self.label),
            p_value=rule.p_values(self.score, self.label),
        )


class Prediction(NamedTuple):
    """The prediction for one image: the fields of `Predictions`, the first ten as COLUMNS."""

    path: str
    label: str
    probability: float
    belongs: bool
    p_value: float
    score: float
    nearest_class: str
    distance: float
    detector: str
    reason: str
    is_readable: bool


@dataclass(frozen=True, eq=False, repr=False)
class Predictions:
    """The predictions of a model for n images, in the order of the input.

    An unreadable file has a row, too: `is_readable` is False, `reason` has the reason, `belongs` is
    False, numbers are NaN and names are empty.

    Attributes:
        path: (n,) str, the file; for an image in memory, its index in the input.
        label: (n,) str, the predicted class.
        probability: (n,) float32, of the predicted class, 0..1, calibrated by temperature scaling.
        belongs: (n,) bool, the verdict.
        p_value: (n,) float64, share of the calibration images that are at least as anomalous, 0..1.
        score: (n,) float32, of the deciding detector; higher is more anomalous.
        nearest_class: (n,) str, the class with the nearest features.
        distance: (n,) float32, to the nearest class, in units of the limit that is calibrated at
            the model's alpha: on average, at most the share alpha of images that belong exceeds 1.
        detector: (n,) str, the deciding detector.
        reason: (n,) str, one sentence.
        is_readable: (n,) bool, whether the file could be read.

    Example:
        >>> predictions = belong.load_model("model").predict("photos")
        >>> predictions
        Predictions(3 images: 2 belong, 0 rejected, 1 unreadable)
        >>> predictions.belongs.shape, predictions.p_value.dtype
        ((3,), dtype('float64'))
        >>> [prediction.path for prediction in predictions]
        ['a.png', 'b.png', 'broken.png']
        >>> predictions.is_readable.tolist(), predictions.reason[2]
        ([True, True, False], 'empty: 0 bytes')
    """

    path: np.ndarray
    label: np.ndarray
    probability: np.ndarray
    belongs: np.ndarray
    p_value: np.ndarray
    score: np.ndarray
    nearest_class: np.ndarray
    distance: np.ndarray
    detector: np.ndarray
    reason: np.ndarray
    is_readable: np.ndarray

    def __repr__(self) -> str:
        readable, belong = int(self.is_readable.sum()), int(self.belongs.sum())
        counts = f"{belong} belong, {readable - belong} rejected, {len(self) - readable} unreadable"
        return f"Predictions({len(self)} images: {counts})"

    def __len__(self) -> int:
        return len(self.path)

    def __iter__(self) -> Iterator[Prediction]:
        columns = (getattr(self, field.name).tolist() for field in fields(self))
        return (Prediction(*row) for row in zip(*columns, strict=True))

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each image, with the columns of predictions.csv.

        Columns: `path`, `class`, `probability`, `belongs`, `p_value`, `score`, `nearest_class`,
        `distance`, `detector`, `reason`. `belongs` has the pandas type boolean; for an unreadable
        file it is missing, as are numbers and names.

        Example:
            >>> table = belong.load_model("model").predict("photos").to_pandas()
            >>> table.loc[:, ["path", "belongs"]].shape
            (3, 2)
            >>> table["p_value"].isna().tolist()
            [False, False, True]
        """
        import pandas as pd  # imported here: it takes 0.3 s, and the arrays do not need it

        is_readable = pd.Series(self.is_readable)
        values = {field.name: pd.Series(getattr(self, field.name)) for field in fields(self)}
        for name in ("label", "nearest_class", "detector"):
            values[name] = values[name].where(is_readable)
        values["belongs"] = values["belongs"].astype("boolean").where(is_readable)
        values["class"] = values["label"]
        return pd.DataFrame({name: values[name] for name in COLUMNS})

    def take(self, rows: np.ndarray) -> Self:
        """Return the predictions at indices (k,), or where (n,) bool is True.

        Raises:
            InputError: the rows are neither.
        """
        rows, n = np.asarray(rows), len(self)
        is_mask = rows.dtype == bool and rows.shape == (n,)
        is_indices = rows.ndim == 1 and (not rows.size or rows.dtype.kind in "iu")
        if not is_mask and not (
            is_indices and (rows.size == 0 or -n <= rows.min() <= rows.max() < n)
        ):
            refuse("rows", f"indices (k,) below {n}, or ({n},) bool", rows)
        rows = rows if is_mask else rows.astype(np.int64)
        return type(self)(*(getattr(self, field.name)[rows] for field in fields(self)))

    def with_verdicts(self, belongs: np.ndarray) -> Self:
        """Replace the verdicts by (n,) bool, except those of unreadable files.

        Raises:
            InputError: the verdicts have another shape or type.
        """
        belongs = np.asarray(belongs)
        if belongs.dtype != bool or belongs.shape != (len(self),):
            refuse("belongs", f"({len(self)},) bool", belongs)
        belongs = belongs & self.is_readable
        reasons = [
            restated(one._asdict() | {"class": one.label}, belongs=bool(verdict))
            if one.is_readable
            else one.reason
            for one, verdict in zip(self, belongs, strict=True)
        ]
        return replace(self, belongs=belongs, reason=np.array(reasons, object))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Concatenate the rows of all parts, at least one, in their order."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def restated(row: Mapping[str, Any], *, belongs: bool) -> str:
    """Return the reason for a changed verdict; `row` has the columns of predictions.csv."""
    sentence = reason(
        belongs=belongs,
        p_value=float(row["p_value"]),
        detector=row["detector"],
        name=row["class"],
        nearest=row["nearest_class"],
        distance=float(row["distance"]),
    )
    return f"{sentence}{frames_note(row['reason'])}"


def predictions_of(
    paths: Sequence[str],
    outcomes: Sequence[int | str],
    scores: Scores | None,
    class_names: Sequence[str],
) -> Predictions:
    """Return the predictions for n files.

    Args:
        paths: n paths.
        outcomes: for each file its number of frames, of which the first was scored; or the reason
            why it cannot be read.
        scores: scores of the readable files, in their order; None if there are none.
        class_names: c class names.
    """
    n, names = len(paths), np.array(class_names, object)
    is_readable = np.array([not isinstance(outcome, str) for outcome in outcomes], bool)
    columns: dict[str, np.ndarray] = {
        name: np.full(n, value, kind) for name, (value, kind) in UNREAD.items()
    }
    if scores is not None:
        values = vars(scores) | {
            "label": names[scores.label],
            "nearest_class": names[scores.nearest],
            "detector": scores.detector.tolist(),
        }
        for name, column in columns.items():
            column[is_readable] = values[name]
    reasons = [
        outcome
        if isinstance(outcome, str)
        else reason(
            belongs=bool(columns["belongs"][row]),
            p_value=float(columns["p_value"][row]),
            detector=columns["detector"][row],
            name=columns["label"][row],
            nearest=columns["nearest_class"][row],
            distance=float(columns["distance"][row]),
            frames=outcome,
        )
        for row, outcome in enumerate(outcomes)
    ]
    path, texts = np.array(paths, object), np.array(reasons, object)
    return Predictions(path=path, reason=texts, is_readable=is_readable, **columns)
