"""The assessment of a model: intervals in closed form, limits of the grades, sentences."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from belong.evaluation.assessment import (
    GOOD,
    UNFIT,
    WITH_CARE,
    Answers,
    Assessment,
    Grade,
    Promise,
    Ranking,
    Share,
    Training,
    assess,
    interval,
    quoted,
    share,
    skill_of,
)

PROMISE = Promise(0.025, (0.004, 0.06))
NAMES = ("kitchen", "bedroom", "frontal")


def first_true(right: int, of: int) -> np.ndarray:
    """Return (of,) bool, of which the first ones are True."""
    return np.arange(of) < right


def answers(
    confusion: list[list[int]],
    *,
    rejected: int = 0,
    names: tuple[str, ...] = NAMES,
) -> Answers:
    """Return answers with this confusion matrix (c, c), without anomalies."""
    counts = np.array(confusion)
    labels, predicted = (
        np.repeat(axis.ravel(), counts.ravel()) for axis in np.indices(counts.shape)
    )
    return Answers(
        class_names=names[: len(counts)],
        labels=labels,
        predicted=predicted,
        accepted=~first_true(rejected, len(labels)),
        anomalies=np.empty(0, bool),
        synthetic={"uniform_noise": first_true(0, 50), "rotated": first_true(20, 50)},
        ranking=None,
    )


def with_anomalies(one: Answers, accepted: int, of: int) -> Answers:
    ranking = Ranking(0.9876, 0.98, 0.99)
    return replace(one, anomalies=first_true(accepted, of), synthetic={}, ranking=ranking)


def assessed(
    one: Answers, promise: Promise = PROMISE, *, images: int = 200, lacks_weights: bool = False
) -> Assessment:
    training = Training(np.full(len(one.class_names), images), lacks_weights)
    return assess(one, promise, training)


def classifier_of(assessment: Assessment) -> Grade:
    assert assessment.classifier is not None
    return assessment.classifier


RIGHT = answers([[100, 0, 0], [0, 100, 0], [0, 0, 100]], rejected=6)


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("count", "of"), [(1, 12), (11, 12), (3, 535), (200, 258)])
def test_an_interval_is_that_of_clopper_and_pearson_by_the_quantiles_of_beta(
    count: int, of: int
) -> None:
    low = beta.ppf(0.025, count, of - count + 1)
    high = beta.ppf(0.975, count + 1, of - count)
    assert interval(count, of) == pytest.approx((low, high))


@pytest.mark.parametrize("of", [1, 5, 12])
def test_an_interval_without_a_miss_is_a_power_of_the_level(of: int) -> None:
    """Of n hits in n, a share p is rejected where p^n is below 0.025."""
    assert interval(of, of) == pytest.approx((0.025 ** (1 / of), 1))
    assert interval(0, of) == pytest.approx((0, 1 - 0.025 ** (1 / of)))


def test_a_share_counts_what_is_true() -> None:
    assert share(first_true(11, 12)) == Share(count=11, of=12, low=0.6152, high=0.9979)
    assert share(first_true(11, 12)).value == pytest.approx(11 / 12)


@pytest.mark.parametrize(
    ("accuracy", "chance", "skill"), [(1, 0.2, 1), (0.2, 0.2, 0), (0.6, 0.2, 0.5), (1, 1, 0)]
)
def test_skill_is_the_share_of_a_constant_answers_errors_that_is_avoided(
    accuracy: float, chance: float, skill: float
) -> None:
    assert skill_of(accuracy, chance) == pytest.approx(skill)


def test_chance_is_the_share_of_the_largest_class() -> None:
    assessment = assessed(answers([[50, 0, 0], [0, 20, 0], [0, 0, 30]]))
    assert (assessment.chance, assessment.largest_class) == (0.5, "kitchen")
    assert "always predicting 'kitchen' would reach 0.500." in assessment.sentences["accuracy"]


def test_the_pairs_with_the_most_errors_come_first_and_of_equal_ones_the_larger_share() -> None:
    assessment = assessed(answers([[100, 5, 0], [9, 100, 0], [5, 0, 20]]))
    assert [(one.actual, one.predicted, one.count, one.of) for one in assessment.confused] == [
        ("bedroom", "kitchen", 9, 109),
        ("frontal", "kitchen", 5, 25),
        ("kitchen", "bedroom", 5, 105),
    ]


# --- grades --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("right", "level"),
    [
        (100, GOOD),
        (93, GOOD),
        (92, WITH_CARE),
        (75, WITH_CARE),
        (74, UNFIT),
        (50, UNFIT),
        (0, UNFIT),
    ],
)
def test_a_classifier_of_two_equal_classes_is_graded_by_the_errors_that_it_avoids(
    right: int, level: str
) -> None:
    """An accuracy of 0.925 is 85% of the way from chance to 1, 0.75 is half of it."""
    assessment = assessed(
        answers([[right * 10, 1000 - right * 10], [1000 - right * 10, right * 10]])
    )
    assert classifier_of(assessment).level == level


def test_a_classifier_that_only_knows_the_largest_class_is_unfit_whatever_its_accuracy() -> None:
    assessment = assessed(answers([[0, 5], [0, 95]]))
    assert assessment.accuracy is not None
    assert assessment.accuracy.value == 0.95
    assert classifier_of(assessment).level == UNFIT
    assert classifier_of(assessment).reasons == [
        "its accuracy is not significantly better than chance"
    ]
    assert assessment.sentences["accuracy"].endswith(
        "so it is not significantly better than chance."
    )


def test_few_test_images_keep_a_grade_down_and_are_said() -> None:
    """The interval of 11 in 12 begins at 0.6152: a skill of 0.42 at a chance of 1/3."""
    assessment = assessed(answers([[4, 0, 0], [0, 4, 0], [1, 0, 3]]))
    assert classifier_of(assessment).level == WITH_CARE
    assert (
        classifier_of(assessment)
        .reasons[0]
        .endswith("but with only 12 test images this share may be as low as 42%")
    )
    assert assessment.sentences["accuracy"] == (
        "The accuracy is 0.92 on only 12 test images: between 0.62 and 1.00 (95% interval); always "
        "predicting one class would reach 0.33."
    )
    assert "more images, for a larger test part" in assessment.helps


def test_a_class_that_is_surely_mistaken_more_often_than_not_keeps_a_grade_down() -> None:
    assessment = assessed(answers([[500, 0, 0], [0, 500, 0], [0, 9, 1]]))
    assert classifier_of(assessment).level == WITH_CARE
    assert classifier_of(assessment).reasons == ["most images of 'frontal' are misclassified"]
    assert classifier_of(assessed(answers([[500, 0, 0], [0, 500, 0], [0, 3, 1]]))).level == GOOD


@pytest.mark.parametrize(
    ("accepted", "of", "level"),
    [
        (0, 535, GOOD), (53, 535, GOOD), (54, 535, WITH_CARE), (214, 535, WITH_CARE),
        (215, 535, UNFIT), (482, 535, UNFIT), (0, 12, GOOD), (0, 5, WITH_CARE),
    ],
)  # fmt: skip
def test_a_judge_is_graded_by_the_anomalies_that_it_accepts(
    accepted: int, of: int, level: str
) -> None:
    """None of 5: up to 52% may be; none of 12: up to 26%."""
    assessment = assessed(with_anomalies(RIGHT, accepted, of))
    assert (classifier_of(assessment).level, assessment.judge.level) == (GOOD, level)
    assert assessment.is_fit == (level != UNFIT)


@pytest.mark.parametrize(
    ("rejected", "level"), [(0, GOOD), (18, GOOD), (19, WITH_CARE), (30, WITH_CARE), (31, UNFIT)]
)
def test_a_judge_is_held_to_its_promise(rejected: int, level: str) -> None:
    """On 300 images 6% are within the expected range, and above 10% are four times alpha."""
    one = replace(RIGHT, accepted=~first_true(rejected, 300))
    assert assessed(with_anomalies(one, 0, 100)).judge.level == level


def test_synthetic_anomalies_never_make_a_judge_good_but_noise_may_make_it_unfit() -> None:
    """50 of 100 noise images may be accepted; an inverted image may still show its class."""
    half = {"uniform_noise": first_true(50, 50), "gaussian_noise": first_true(0, 50)}
    most = {"uniform_noise": first_true(50, 50), "gaussian_noise": first_true(2, 50)}
    for synthetic in (
        {"uniform_noise": first_true(0, 50)},
        half,
        half | {"inverted": first_true(50, 50)},
    ):
        assert assessed(replace(RIGHT, synthetic=synthetic)).judge.level == WITH_CARE
    judge = assessed(replace(RIGHT, synthetic=most)).judge
    assert (judge.level, judge.reasons) == (UNFIT, ["it accepts 52% of images of noise"])


# --- words ---------------------------------------------------------------------------------------


def test_confused_classes_are_said_in_words() -> None:
    sentence = assessed(answers([[75, 10, 0], [2, 85, 0], [0, 0, 86]])).sentences["confusion"]
    assert sentence == (
        "Of the test images, 12% of 'kitchen' (10 of 85) are classified as 'bedroom' and 2.3% of "
        "'bedroom' (2 of 87) are classified as 'kitchen'."
    )


@pytest.mark.parametrize(
    ("last", "words"),
    [
        ([1, 0, 9], "One more is misclassified."),
        ([2, 0, 8], "2 more are misclassified, in 1 other pair of classes."),
        ([2, 1, 7], "3 more are misclassified, in 2 other pairs of classes."),
    ],
)
def test_the_errors_beside_the_named_pairs_are_counted(last: list[int], words: str) -> None:
    sentence = assessed(answers([[90, 5, 4], [3, 90, 0], last])).sentences["confusion"]
    assert sentence.endswith(f" {words}")


def test_a_rare_confusion_has_no_share_of_zero() -> None:
    """4 of 1,009 are 0.4%, not 0%; 999 of 1,000 are not all."""
    sentence = assessed(answers([[1005, 4, 0], [999, 1, 0], [0, 0, 86]])).sentences["confusion"]
    assert "99.9% of 'bedroom' (999 of 1,000) are classified as 'kitchen'" in sentence
    assert "0.4% of 'kitchen' (4 of 1,009) are classified as 'bedroom'" in sentence


def test_false_rejects_of_images_that_calibrate_are_not_measured() -> None:
    sentence = assessed(RIGHT, replace(PROMISE, is_measured=False)).sentences["false rejects"]
    assert sentence == (
        "False rejects are not measured, because the test images also calibrate the threshold. "
        "Promised: 2.5%; of 300 new images that belong, 0.4% to 6% are expected to be rejected."
    )


def test_no_error_is_said_too() -> None:
    assessment = assessed(RIGHT)
    assert assessment.sentences["confusion"] == "No test image is misclassified."


def test_the_share_of_accepted_given_anomalies_has_its_interval() -> None:
    sentence = assessed(with_anomalies(RIGHT, 3, 535)).sentences["anomalies"]
    assert sentence == (
        "3 of 535 test anomalies (0.56%) are accepted as belonging (95% interval 0.12% to 1.6%); "
        "AUROC 0.9876 (0.9800 to 0.9900)."
    )


def test_few_given_anomalies_leave_a_wide_interval() -> None:
    sentence = assessed(with_anomalies(RIGHT, 0, 5)).sentences["anomalies"]
    assert sentence.startswith(
        "None of only 5 test anomalies is accepted as belonging: between 0% and 52% (95% inte"
    )


def test_synthetic_anomalies_are_called_so() -> None:
    one = replace(RIGHT, why_no_anomalies="all 40 anomalies are among the normal images")
    assert assessed(one).sentences["anomalies"] == (
        "All 40 anomalies are among the normal images; of 100 synthetic anomalies, 20% are "
        "accepted (40% of rotated). Real anomalies may be harder to detect."
    )


@pytest.mark.parametrize(("rejected", "words"), [(0, "below"), (6, "within"), (30, "above")])
def test_false_rejects_are_set_beside_the_promise(rejected: int, words: str) -> None:
    one = replace(RIGHT, accepted=~first_true(rejected, 300))
    sentence = assessed(one).sentences["false rejects"]
    assert sentence.endswith(
        f"rejected, {words} the range of 0.4% to 6% expected for a promised rate of 2.5%."
    )


def test_the_threshold_of_the_paper_promises_nothing() -> None:
    sentence = assessed(RIGHT, replace(PROMISE, is_calibrated=False)).sentences["false rejects"]
    assert sentence == (
        "6 of 300 test images (2%) are rejected; the threshold of the paper, which is in force, "
        "promises no rate."
    )


def test_a_verdict_that_a_model_is_not_fit_for_use_says_what_helps() -> None:
    weak = answers([[50, 50, 0], [45, 55, 0], [0, 0, 100]])
    assessment = assessed(with_anomalies(weak, 90, 100), lacks_weights=True)
    assert assessment.verdict == (
        "Not fit for use as an anomaly detector. What helps: a pretrained backbone (`belong "
        "fit --backbone efficientnet_lite0`); more images of 'kitchen' (trained on 200 images); "
        "correct labels (`belong clean` finds mislabeled images)."
    )


@pytest.mark.parametrize(
    ("accepted", "verdict"),
    [
        (0, "Good as a classifier and as an anomaly detector."),
        (30, "Good as a classifier, usable with care as an anomaly detector."),
    ],
)
def test_a_verdict_names_the_grade_of_both_uses(accepted: int, verdict: str) -> None:
    assert assessed(with_anomalies(RIGHT, accepted, 100)).verdict == verdict


@pytest.mark.parametrize(
    ("accepted", "helps"),
    [
        (2, ["more test anomalies"]),
        (
            20,
            [
                "more images of every class",
                "correct labels (`belong clean` finds mislabeled images)",
            ],
        ),
    ],
)
def test_more_anomalies_help_only_where_they_may_change_the_grade(
    accepted: int, helps: list[str]
) -> None:
    """The interval of 20 in 30 begins at 47%, above the 40% that use allows."""
    assert assessed(with_anomalies(RIGHT, accepted, 30)).helps == helps


def test_a_good_model_needs_no_help() -> None:
    assert assessed(with_anomalies(RIGHT, 0, 100), lacks_weights=True).helps == []


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("it's", "'it's'"),
        ("two\nlines", r"'two\nlines'"),
        ("\x1b[31mred", r"'\x1b[31mred'"),
        ("caf\udce9", r"'caf\xe9'"),
        ("x" * 41, f"'{'x' * 37}...'"),
        ("Küche 厨房", "'Küche 厨房'"),
    ],
)
def test_a_class_name_stands_in_one_line_whatever_is_in_it(name: str, expected: str) -> None:
    assert quoted(name) == expected


def test_a_hundred_classes_are_said_in_as_few_words_as_two() -> None:
    counts = np.eye(100, dtype=int) * 3 + np.roll(np.eye(100, dtype=int), 1, axis=1)
    assessment = assessed(answers(counts.tolist(), names=tuple(f"class {at}" for at in range(100))))
    assert assessment.sentences["confusion"].startswith(
        "Of the test images, 25% of 'class 0' (1 of 4) "
    )
    assert assessment.sentences["confusion"].endswith(
        "97 more are misclassified, in 97 other pairs of classes."
    )
    assert classifier_of(assessment).level == WITH_CARE  # (0.75 - 0.01) / 0.99 is 0.747


def test_a_model_of_photos_from_scratch_says_plainly_what_it_does_not_reach() -> None:
    anomalies = with_anomalies(RIGHT, 0, 100)
    sentence = assessed(anomalies, lacks_weights=True).sentences["from scratch"]
    assert "worse than hand-made features with a support vector machine do" in sentence
    assert "from scratch" not in assessed(anomalies).sentences


def test_with_one_class_only_the_judge_is_graded() -> None:
    assessment = assessed(answers([[30]]))
    assert (
        assessment.accuracy,
        assessment.chance,
        assessment.largest_class,
        assessment.classifier,
    ) == (None,) * 4
    assert list(assessment.sentences) == [
        "accuracy", "false rejects", "anomalies", "as a judge of what belongs",
    ]  # fmt: skip
    assert assessment.verdict == "Usable with care as an anomaly detector."
    assert assessment.is_fit
