"""Assess a model in numbers and in words; the assessment changes no choice.

A share of test images has the exact binomial interval of Clopper and Pearson (Biometrika 1934,
https://doi.org/10.1093/biomet/26.4.404). Two uses are graded: to classify, and to judge what
belongs. Their levels are the constants below; the reasons are stored with the grade.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from belong.runtime.text import counted, percent, percent_of, printable

Level = Literal["good", "usable with care", "not fit for use"]
GOOD: Level = "good"
WITH_CARE: Level = "usable with care"
UNFIT: Level = "not fit for use"
LEVELS = (GOOD, WITH_CARE, UNFIT)  # the worst last

CONFIDENCE = 0.95  # of the intervals
# Minimum skill of a classifier: (accuracy - chance) / (1 - chance), the avoided share of the errors
# of always predicting the largest class. It is 0 at chance, for any number of classes.
GOOD_SKILL, USABLE_SKILL = 0.85, 0.5
# Maximum shares of accepted anomalies.
GOOD_ACCEPTS, USABLE_ACCEPTS = 0.1, 0.4
# Synthetic anomalies are no evidence for "good", as a blurred or inverted kitchen is still a
# kitchen, and may be accepted. A model that accepts most noise is unfit.
NOISE = ("uniform_noise", "gaussian_noise")
USABLE_NOISE = 0.5
BROKEN_PROMISE = 4  # factor of alpha: with more false rejects, the anomaly detection is unfit
WIDE = 0.15  # from this width on, the text mentions the interval, as there are few images
PAIRS = 3  # number of confused pairs of classes in the text
NAME_LENGTH = 40  # characters of a class name in a sentence
ONE_CLASS = (
    "The images have one class, so that no classifier is trained and no accuracy is measured."
)
FROM_SCRATCH = (
    "Trained from scratch, without pretrained weights: on photos such a model detects anomalies "
    "worse than hand-made features with a support vector machine do. A pretrained backbone "
    "(`belong fit --backbone efficientnet_lite0`) is better than both."
)

Rate = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Share(_Facts):
    """A share of images, with the ends of its 95% interval.

    Attributes:
        count: images with the property.
        of: all images.
        low, high: ends of the exact binomial interval, four decimals.
    """

    count: Count
    of: Annotated[int, Field(ge=1)]
    low: Rate
    high: Rate

    @property
    def value(self) -> float:
        """The share itself."""
        return self.count / self.of

    @property
    def is_wide(self) -> bool:
        """Whether the interval is too wide for a statement about the share."""
        return self.high - self.low > WIDE


class Confusion(_Facts):
    """Test images of one class that are predicted as another: `count` of `of` in the class."""

    actual: str
    predicted: str
    count: Annotated[int, Field(ge=1)]
    of: Annotated[int, Field(ge=1)]


class SyntheticSet(_Facts):
    """Anomalies made from test images, of one kind: `accepted` of `images`."""

    kind: str
    images: Annotated[int, Field(ge=1)]
    accepted: Count


class Grade(_Facts):
    """How fit a model is for a use, and why: phrases that follow "the model is LEVEL: "."""

    level: Level
    reasons: list[str]


class Assessment(_Facts):
    """How good a model is for its two uses; no choice of the model depends on it.

    Attributes:
        classifier: the grade of its classes; None, as the next three, for a model of one class.
        judge: the grade of its anomaly detection.
        accuracy: share of correctly classified test images.
        chance: accuracy of always predicting the largest class of the test images.
        largest_class: the largest class; None if several are equally large.
        confused: the pairs of classes with the most errors, in descending order.
        false_rejects: share of rejected test images.
        false_accepts: share of accepted anomalies; None without anomalies.
        auroc_interval: 95% bootstrap interval of the AUROC; None without anomalies.
        synthetic: results on anomalies made from test images.
        sentences: subject -> the result as a sentence.
        helps: advice for a better model or a more precise test; empty if both grades are "good".
        verdict: both grades in one sentence.
    """

    classifier: Grade | None
    judge: Grade
    accuracy: Share | None
    chance: Rate | None
    largest_class: str | None
    confused: list[Confusion]
    false_rejects: Share
    false_accepts: Share | None
    auroc_interval: tuple[Rate, Rate] | None
    synthetic: list[SyntheticSet]
    sentences: dict[str, str]
    helps: list[str]
    verdict: str

    @property
    def is_fit(self) -> bool:
        """Whether no use is graded "not fit for use"."""
        grades = (self.classifier, self.judge)
        return UNFIT not in [grade.level for grade in grades if grade is not None]


@dataclass(frozen=True)
class Promise:
    """The promised false-rejection rate.

    Attributes:
        alpha: the rate, between 0 and 1.
        expected: range of the measured rate in 95 of 100 cases, given the numbers of images.
        is_calibrated: False for the paper's threshold, which promises no rate.
        is_measured: False if the calibration images also are the test images. Their classes are
            predicted by networks trained without them, but their false-rejection rate is alpha by
            construction.
    """

    alpha: float
    expected: tuple[float, float]
    is_calibrated: bool = True
    is_measured: bool = True


@dataclass(frozen=True)
class Ranking:
    """AUROC of the default detector on the test anomalies, with its 95% bootstrap interval."""

    auroc: float
    low: float
    high: float


@dataclass(frozen=True)
class Answers:
    """The predictions and verdicts of a model on test images.

    Attributes:
        class_names: c class names.
        labels: (n,) int64 true classes of the normal test images, 0..c-1.
        predicted: (n,) int64 predicted classes of the normal test images.
        accepted: (n,) bool verdicts on the normal test images.
        anomalies: (m,) bool verdicts on the anomalies; m may be 0.
        synthetic: kind -> (k,) bool verdicts on anomalies made from test images.
        ranking: None if m is 0.
        why_no_anomalies: the reason if m is 0.
    """

    class_names: Sequence[str]
    labels: np.ndarray
    predicted: np.ndarray
    accepted: np.ndarray
    anomalies: np.ndarray
    synthetic: Mapping[str, np.ndarray]
    ranking: Ranking | None
    why_no_anomalies: str = "there are no test anomalies"


@dataclass(frozen=True)
class Training:
    """The training data of a model.

    Attributes:
        images: (c,) training images of each class.
        lacks_weights: whether it was trained from scratch on color images, so that a
            pretrained backbone is likely to help.
    """

    images: np.ndarray
    lacks_weights: bool


def assess(
    answers: Answers, promise: Promise, training: Training, *, more_images: str | None = None
) -> Assessment:
    """Assess a model by its answers on at least one normal test image.

    `more_images` is a sentence on the benefit of more images.
    """
    accuracy, rejects = share(answers.labels == answers.predicted), share(~answers.accepted)
    accepts = share(answers.anomalies) if len(answers.anomalies) else None
    synthetic = [
        SyntheticSet(kind=kind, images=len(verdicts), accepted=int(verdicts.sum()))
        for kind, verdicts in answers.synthetic.items()
    ]
    names, sizes, errors = answers.class_names, class_sizes(answers), error_counts(answers)
    chance = float(sizes.max() / sizes.sum())
    largest = np.flatnonzero(sizes == sizes.max())
    largest_class = names[int(largest[0])] if len(largest) == 1 else None
    confused = most_confused(errors, sizes, names)
    mistaken = [
        name
        for name, error, size in zip(names, errors, sizes, strict=True)
        if size and is_mistaken(error, size)
    ]
    has_classes = len(names) > 1
    classifier = grade_classifier(accuracy, chance, mistaken) if has_classes else None
    of_rejects = rejects_finding(rejects, promise)
    of_accepts = synthetic_finding(synthetic) if accepts is None else accepts_finding(accepts)
    judge = worst_of([of_rejects, of_accepts])
    helps = [
        *weakness_helps(
            training,
            confusion_helps(errors, names, training)
            if classifier is not None and classifier.level != GOOD
            else [],
            accepts_many=is_blind(of_accepts[0], accepts),
            rejects_many=of_rejects[0] != GOOD,
        ),
        *evidence_helps(accuracy if has_classes else rejects, accepts),
    ]
    return Assessment(
        classifier=classifier,
        judge=judge,
        accuracy=accuracy if has_classes else None,
        chance=round(chance, 4) if has_classes else None,
        largest_class=largest_class if has_classes else None,
        confused=confused,
        false_rejects=rejects,
        false_accepts=accepts,
        auroc_interval=(answers.ranking.low, answers.ranking.high) if answers.ranking else None,
        synthetic=synthetic,
        sentences=(
            {
                "accuracy": accuracy_sentence(
                    accuracy, chance, largest_class, out_of_fold=not promise.is_measured
                ),
                "confusion": confusion_sentence(confused, errors),
            }
            if has_classes
            else {"accuracy": ONE_CLASS}
        )
        | {
            "false rejects": rejects_sentence(rejects, promise),
            "anomalies": (
                synthetic_sentence(synthetic, answers.why_no_anomalies)
                if accepts is None
                else accepts_sentence(accepts, answers.ranking)
            ),
        }
        | ({} if classifier is None else {"as a classifier": graded("As a classifier", classifier)})
        | {
            "as a judge of what belongs": graded("As an anomaly detector", judge),
        }
        | ({"from scratch": FROM_SCRATCH} if training.lacks_weights else {})
        | ({"more images": more_images} if more_images else {}),
        helps=helps,
        verdict=verdict(classifier, judge, helps),
    )


# --- numbers --------------------------------------------------------------------------------------


def interval(count: int, of: int) -> tuple[float, float]:
    """Return the 95% interval of Clopper and Pearson of a share, `count` of `of` images."""
    from scipy.stats import binomtest  # imported here: `belong score` does not need it

    ends = binomtest(count, of).proportion_ci(CONFIDENCE, method="exact")
    return float(ends.low), float(ends.high)


def share(is_meant: np.ndarray) -> Share:
    """Return the share of True among (n,) bool, n at least 1."""
    count, of = int(is_meant.sum()), len(is_meant)
    low, high = interval(count, of)
    return Share(count=count, of=of, low=round(low, 4), high=round(high, 4))


def class_sizes(answers: Answers) -> np.ndarray:
    """Return the number of normal test images of each class (c,)."""
    return np.bincount(answers.labels, minlength=len(answers.class_names))


def error_counts(answers: Answers) -> np.ndarray:
    """Return the confusion matrix (c, c) with a zero diagonal."""
    c = len(answers.class_names)
    pairs = np.bincount(answers.labels * c + answers.predicted, minlength=c * c).reshape(c, c)
    np.fill_diagonal(pairs, 0)
    return pairs


def most_confused(
    errors: np.ndarray, sizes: np.ndarray, class_names: Sequence[str]
) -> list[Confusion]:
    """Return the pairs with the most errors; ties are ordered by the share of their class.

    Args:
        errors: (c, c) from `error_counts`.
        sizes: (c,) test images of each class.
        class_names: c.
    """
    actual, predicted = np.nonzero(errors)
    counts = errors[actual, predicted]
    order = np.lexsort((-counts / sizes[actual], -counts))[:PAIRS]
    return [
        Confusion(
            actual=class_names[actual[at]],
            predicted=class_names[predicted[at]],
            count=int(counts[at]),
            of=int(sizes[actual[at]]),
        )
        for at in order
    ]


def is_mistaken(errors: np.ndarray, size: int) -> bool:
    """Return whether significantly fewer than half of a class of `size` images are recognized.

    `errors` (c,) counts the images predicted as each other class.
    """
    return interval(int(size - errors.sum()), int(size))[1] < 0.5


def skill_of(accuracy: float, chance: float) -> float:
    """Return the share of a constant prediction's errors that the model avoids; 0 without any."""
    return (accuracy - chance) / (1 - chance) if chance < 1 else 0.0


# --- grades ---------------------------------------------------------------------------------------


def grade_classifier(accuracy: Share, chance: float, mistaken: Sequence[str]) -> Grade:
    """Grade the classification.

    Args:
        accuracy: the accuracy with its interval.
        chance: accuracy of always predicting the largest class.
        mistaken: names of the classes with significantly less than half recognized.
    """
    constant = "the errors of always predicting one class"
    skill, least = skill_of(accuracy.value, chance), skill_of(accuracy.low, chance)
    if accuracy.low <= chance:
        level, reason = UNFIT, "its accuracy is not significantly better than chance"
    elif skill < USABLE_SKILL:
        level = UNFIT
        reason = f"it avoids {percent(skill)} of {constant}; at least {USABLE_SKILL:.0%} is needed"
    elif skill < GOOD_SKILL:
        level = WITH_CARE
        good = f"a good model avoids at least {GOOD_SKILL:.0%}"
        reason = f"it avoids {percent(skill)} of {constant}; {good}"
    elif least < USABLE_SKILL:
        level = WITH_CARE
        reason = (
            f"it avoids {percent(skill)} of {constant}, but with only "
            f"{counted(accuracy.of, 'test image')} this share may be as low as "
            f"{percent(max(least, 0))}"
        )
    else:
        level, reason = GOOD, f"it avoids {percent(skill)} of {constant}"
    findings = [(level, reason)]
    if mistaken:
        more = f" and of {len(mistaken) - 1:,} more" if len(mistaken) > 1 else ""
        findings.append(
            (WITH_CARE, f"most images of {quoted(mistaken[0])}{more} are misclassified")
        )
    return worst_of(findings)


def rejects_finding(rejects: Share, promise: Promise) -> tuple[Level, str]:
    """Grade the false rejects."""
    promised = "promised" if promise.is_calibrated else "intended"
    if not promise.is_measured and promise.is_calibrated:
        return GOOD, f"its false-rejection rate is the promised one ({percent_of(promise.alpha)})"
    alpha = percent_of(promise.alpha)
    reason = f"it rejects {share_of(rejects)} of normal images ({alpha} {promised})"
    if round(rejects.value, 4) <= promise.expected[1]:
        return GOOD, reason
    return (UNFIT if rejects.value > BROKEN_PROMISE * promise.alpha else WITH_CARE), reason


def accepts_finding(accepts: Share) -> tuple[Level, str]:
    """Grade the false accepts."""
    reason = f"it accepts {share_of(accepts)} of the anomalies"
    if accepts.value > USABLE_ACCEPTS:
        return UNFIT, f"{reason}; at most {USABLE_ACCEPTS:.0%} is usable"
    if accepts.value > GOOD_ACCEPTS:
        return WITH_CARE, f"{reason}; a good model accepts at most {GOOD_ACCEPTS:.0%}"
    if accepts.high > USABLE_ACCEPTS:
        few = counted(accepts.of, "anomaly", "anomalies")
        return WITH_CARE, f"{reason}, but with only {few} it may be up to {percent(accepts.high)}"
    return GOOD, reason


def synthetic_finding(synthetic: Sequence[SyntheticSet]) -> tuple[Level, str]:
    """Grade the acceptance of synthetic anomalies, if there are no real ones."""
    images, accepted = totals([one for one in synthetic if one.kind in NOISE])
    if images and accepted / images > USABLE_NOISE:
        return UNFIT, f"it accepts {percent(accepted / images)} of images of noise"
    return WITH_CARE, "it was not tested on real anomalies"


def worst_of(findings: Sequence[tuple[Level, str]]) -> Grade:
    """Return the worst level with its reasons."""
    worst = max((level for level, _ in findings), key=LEVELS.index)
    return Grade(level=worst, reasons=[reason for level, reason in findings if level == worst])


def totals(synthetic: Sequence[SyntheticSet]) -> tuple[int, int]:
    """Return the number of synthetic anomalies, and the number accepted."""
    return sum(one.images for one in synthetic), sum(one.accepted for one in synthetic)


# --- words ----------------------------------------------------------------------------------------


def accuracy_sentence(
    accuracy: Share, chance: float, largest_class: str | None, *, out_of_fold: bool = False
) -> str:
    """Return the accuracy, and that of always predicting the largest class, in a sentence.

    `out_of_fold` says that each image was classified by a network fitted to the others.
    """
    digits = 2 if accuracy.of < 100 else 3
    value, low, high, by_chance = (
        f"{number:.{digits}f}" for number in (accuracy.value, accuracy.low, accuracy.high, chance)
    )
    images = counted(accuracy.of, "image" if out_of_fold else "test image")
    if out_of_fold:
        images += ", each classified by a network that was fitted without it"
    if accuracy.is_wide:
        measured = f"{value} on only {images}: between {low} and {high} (95% interval)"
    else:
        measured = f"{value} on {images} (95% interval {low} to {high})"
    constant = quoted(largest_class) if largest_class is not None else "one class"
    no_better = ", so it is not significantly better than chance" if accuracy.low <= chance else ""
    return (
        f"The accuracy is {measured}; always predicting {constant} would reach "
        f"{by_chance}{no_better}."
    )


def confusion_sentence(confused: Sequence[Confusion], errors: np.ndarray) -> str:
    """Return the most confused pairs of classes, and the number of other errors (c, c)."""
    if not confused:
        return "No test image is misclassified."
    pairs = enumeration(
        [
            f"{percent(one.count / one.of)} of {quoted(one.actual)} ({one.count:,} of {one.of:,}) "
            f"{'is' if one.of == 1 else 'are'} classified as {quoted(one.predicted)}"
            for one in confused
        ]
    )
    sentence = f"Of the test images, {pairs}."
    remaining = int(errors.sum()) - sum(one.count for one in confused)
    if not remaining:
        return sentence
    if remaining == 1:
        return f"{sentence} One more is misclassified."
    other_pairs = counted(int((errors > 0).sum()) - len(confused), "other pair")
    return f"{sentence} {remaining:,} more are misclassified, in {other_pairs} of classes."


def rejects_sentence(rejects: Share, promise: Promise) -> str:
    """Compare the false rejects with the promised rate, in a sentence."""
    if not promise.is_measured and promise.is_calibrated:
        low, high = promise.expected
        return (
            "False rejects are not measured, because the test images also calibrate the "
            "threshold. "
            f"Promised: {percent_of(promise.alpha)}; of {counted(rejects.of, 'new image')} that "
            f"belong, {percent(low, 3)} to {percent(high, 3)} are expected to be rejected."
        )
    measured = f"{numbered(rejects, 'test image')} rejected"
    if not promise.is_calibrated:
        return f"{measured}; the threshold of the paper, which is in force, promises no rate."
    low, high = promise.expected
    rate = round(rejects.value, 4)
    relation = "above" if rate > high else "below" if rate < low else "within"
    return (
        f"{measured}, {relation} the range of {percent(low, 3)} to {percent(high, 3)} expected for "
        f"a promised rate of {percent_of(promise.alpha)}."
    )


def accepts_sentence(accepts: Share, ranking: Ranking | None) -> str:
    """Return the share of accepted anomalies and the AUROC, in a sentence."""
    low, high = percent(accepts.low), percent(accepts.high)
    ends = f": between {low} and {high} (95% interval)"
    if not accepts.is_wide:
        ends = f" (95% interval {low} to {high})"
    auroc = (
        f"; AUROC {ranking.auroc:.4f} ({ranking.low:.4f} to {ranking.high:.4f})" if ranking else ""
    )
    measured = numbered(accepts, "test anomaly", "test anomalies")
    return f"{measured} accepted as belonging{ends}{auroc}."


def synthetic_sentence(synthetic: Sequence[SyntheticSet], why: str) -> str:
    """Return the share of accepted synthetic anomalies, if there are no real ones."""
    start = f"{why[0].upper()}{why[1:]}"
    images, accepted = totals(synthetic)
    if not images:
        return f"{start}."
    subject = f"{start}; of {counted(images, 'synthetic anomaly', 'synthetic anomalies')}, "
    if not accepted:
        return f"{subject}none is accepted. Real anomalies may be harder to detect."
    kinds = sorted(synthetic, key=lambda one: -one.accepted / one.images)[:PAIRS]
    shares = enumeration(
        [f"{percent(one.accepted / one.images)} of {one.kind}" for one in kinds if one.accepted]
    ).replace("_", " ")
    return (
        f"{subject}{percent(accepted / images)} are accepted ({shares}). Real anomalies may be "
        f"harder to detect."
    )


def confusion_helps(
    errors: np.ndarray, class_names: Sequence[str], training: Training
) -> list[str]:
    """Return the advice to add images to the class with the most errors (c, c), if any."""
    if not errors.any():
        return []
    worst = int(np.argmax(errors.sum(axis=1)))
    trained = counted(int(training.images[worst]), "image")
    return [f"more images of {quoted(class_names[worst])} (trained on {trained})"]


def weakness_helps(
    training: Training, more_images: list[str], *, accepts_many: bool, rejects_many: bool
) -> list[str]:
    """Return advice against errors of each kind; `more_images` is that of `confusion_helps`."""
    is_weak = bool(more_images) or accepts_many
    return [
        *(
            ["a pretrained backbone (`belong fit --backbone efficientnet_lite0`)"]
            * (is_weak and training.lacks_weights)
        ),
        *(more_images or ["more images of every class"] * accepts_many),
        *(["correct labels (`belong clean` finds mislabeled images)"] * is_weak),
        *(
            ["more calibration images without duplicates (`belong check` finds duplicates)"]
            * rejects_many
        ),
    ]


def evidence_helps(accuracy: Share, accepts: Share | None) -> list[str]:
    """Return advice that makes the measurement more precise."""
    helps = ["more images, for a larger test part"] * accuracy.is_wide
    if accepts is None:
        return [*helps, "test anomalies (`belong fit --anomalies`)"]
    is_open = accepts.is_wide and accepts.low <= USABLE_ACCEPTS  # otherwise the grade is certain
    return helps + ["more test anomalies"] * is_open


def is_blind(level: Level, accepts: Share | None) -> bool:
    """Return whether too many anomalies are accepted, regardless of the interval."""
    return level == UNFIT or (accepts is not None and accepts.value > GOOD_ACCEPTS)


def verdict(classifier: Grade | None, judge: Grade, helps: Sequence[str]) -> str:
    """Return all grades in one sentence, with advice if one of them is "not fit for use"."""
    uses = [("as an anomaly detector", judge)]
    if classifier is not None:
        uses.insert(0, ("as a classifier", classifier))
    unfit = [use for use, grade in uses if grade.level == UNFIT]
    if unfit:
        return f"Not fit for use {enumeration(unfit)}. What helps: {'; '.join(helps)}."
    if classifier is None or classifier.level == judge.level:
        sentence = f"{judge.level} {enumeration([use for use, _ in uses])}"
    else:
        sentence = ", ".join(f"{grade.level} {use}" for use, grade in uses)
    return f"{sentence[0].upper()}{sentence[1:]}."


def graded(use: str, grade: Grade) -> str:
    """Return the level of a use, with its reasons."""
    return f"{use}, the model is {grade.level}: {enumeration(grade.reasons)}."


def numbered(part: Share, one: str, more: str = "") -> str:
    """Return "3 of 535 anomalies (0.6%) are", "None of only 12 anomalies is"."""
    subject = f"{part.count:,}" if part.count or part.of == 1 else "None"
    only = "only " if part.is_wide and part.of > 1 else ""
    rate = f" ({share_of(part)})" if part.count else ""
    is_are = "are" if part.count > 1 else "is"
    return f"{subject} of {only}{counted(part.of, one, more)}{rate} {is_are}"


def share_of(part: Share) -> str:
    """Format a share, with a third digit if the images suffice for it."""
    return percent(part.value, 3 if part.of >= 1000 else 2)


def enumeration(words: Sequence[str]) -> str:
    """Return "a", "a and b", "a, b and c"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def quoted(name: str) -> str:
    """Return a class name in quotes, on one line and shortened."""
    text = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in printable(name)
    )
    return f"'{text if len(text) <= NAME_LENGTH else text[: NAME_LENGTH - 3] + '...'}'"
