"""The distribution of the scores and the mix of classes: by enumeration and by simulation."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, norm

from belong.calibration.conformal import p_values
from belong.commands.main import main
from belong.commands.watch.class_mix import class_mix
from belong.commands.watch.score_law import KAPPAS, foreign_share, gains, ranks_of
from belong.commands.watch.stream_analysis import StreamAnalysis, analyze

N, ALPHA, DELTA = 54, 0.025, 0.05


def test_each_bet_is_fair_over_all_places_of_a_few_images() -> None:
    n, m = 2, 4
    means = np.zeros((len(KAPPAS), m))
    for ranks in itertools.product(range(n + 1), repeat=m):
        chance = 1.0
        for at, rank in enumerate(ranks):
            chance *= (1 + ranks[:at].count(rank)) / (n + 1 + at)
        means += chance * np.exp(gains(np.array(ranks), n=n))
    np.testing.assert_allclose(means, 1, rtol=1e-12)


def test_the_first_gain_by_hand() -> None:
    """Of one calibration score, the gaps pay 2^(1 - kappa) and 1."""
    first = np.exp(gains(np.array([0]), n=1))[:, 0]
    by_hand = [2 ** (1 - kappa) / ((2 ** (1 - kappa) + 1) / 2) for kappa in KAPPAS]
    np.testing.assert_allclose(first, by_hand, rtol=1e-12)


def test_a_p_value_of_six_digits_has_its_gap() -> None:
    every = np.arange(1, 6001) / 6001
    rounded = np.array([float(f"{value:.6g}") for value in every])
    assert (ranks_of(rounded, n=6000) == np.arange(6000)).all()


def stream(scores: np.ndarray, calibration: np.ndarray) -> StreamAnalysis:
    values = p_values(calibration, scores)
    rows = pd.DataFrame({"class": "ant", "p_value": values})
    return analyze(
        rows,
        values <= 1 / (N + 1) + 1e-9,
        alpha=ALPHA,
        n_calibration=N,
        delta=DELTA,
        rng=np.random.default_rng(0),
    )


@pytest.mark.pipeline
@pytest.mark.parametrize("are_tied", [False, True])
def test_of_streams_like_the_calibration_images_no_more_raise_an_alarm_than_stated(
    *, are_tied: bool
) -> None:
    rng, streams = np.random.default_rng(int(are_tied)), 400
    alarms = alarms_of_law = 0
    for _ in range(streams):
        scores = rng.normal(size=N + 200)
        scores = np.round(scores, 1) if are_tied else scores
        analysis = stream(scores[N:], scores[:N])
        alarms_of_law += analysis.law_drift is not None
        alarms += any((analysis.drift, analysis.law_drift, analysis.class_drifts))
    assert alarms_of_law <= binom.ppf(0.999, streams, DELTA / 4)
    assert alarms <= binom.ppf(0.999, streams, DELTA)


def test_a_thousand_foreign_photos_are_noticed_where_their_rate_may_be_luck() -> None:
    """Their scores lie one deviation higher: an AUROC of 0.76, and about 9% are rejected."""
    rng, streams = np.random.default_rng(5), 40
    noticed, by_rate = [], 0
    for _ in range(streams):
        analysis = stream(rng.normal(size=1000) + 1, rng.normal(size=N))
        by_rate += analysis.drift is not None
        if analysis.law_drift is not None:
            noticed.append(analysis.law_drift.noticed)
    assert by_rate < streams / 2
    assert len(noticed) >= 0.9 * streams
    assert np.median(noticed) < 100


def test_scores_that_rise_later_are_noticed_and_their_beginning_named() -> None:
    rng = np.random.default_rng(1)
    beginnings = []
    for _ in range(20):
        scores = np.concatenate([rng.normal(size=300), rng.normal(size=300) + 2.5])
        analysis = stream(scores, rng.normal(size=N))
        if analysis.law_drift is not None:
            beginnings.append(analysis.law_drift.begun)
    assert len(beginnings) >= 15
    assert 250 < np.median(beginnings) < 330


@pytest.mark.parametrize(("foreign", "low", "high"), [(0.0, 0, 0.1), (0.5, 0.35, 0.52)])
def test_the_share_of_foreign_images_is_estimated_from_below(
    foreign: float, low: float, high: float
) -> None:
    values = np.random.default_rng(2).random(5000)
    values[: int(foreign * 5000)] /= 1000
    assert low <= foreign_share(values) <= high


def test_the_mix_of_classes_is_judged_at_its_stated_chance() -> None:
    rng, looks = np.random.default_rng(3), 300
    small = 0
    for _ in range(looks):
        classes = rng.choice(["ant", "bee", "cow"], size=154, p=[0.6, 0.3, 0.1])
        small += (
            class_mix(classes[N:].tolist(), classes[:N].astype(object), rng=rng).p_value <= 0.05
        )
    assert small <= binom.ppf(0.999, looks, 0.05)
    mix = class_mix(["ant"] * 90 + ["bee"] * 10, np.array(["ant", "bee"] * 27, object), rng=rng)
    assert (mix.name, mix.share, mix.usual) == ("ant", 0.9, 0.5)
    assert mix.p_value == 1 / 1000
    assert math.isclose(class_mix(["ant"], np.array(["ant"], object), rng=rng).p_value, 1)


def test_the_command_says_that_the_scores_are_no_luck(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = norm.ppf((np.arange(N) + 0.5) / N)
    values = p_values(usual, np.random.default_rng(8).normal(size=1000) + 0.8)
    rows = {"path": [f"{at}.png" for at in range(1000)], "class": "ant"}
    table = pd.DataFrame({**rows, "belongs": values > 1 / (N + 1) + 1e-9, "p_value": values})
    table.to_csv(tmp_path / "predictions.csv", index=False, float_format="%.6g")
    words = ["--alpha", str(ALPHA), "--calibration-images", str(N)]
    assert main(["watch", str(tmp_path / "predictions.csv"), *words]) == 1
    output = capsys.readouterr().out
    assert "The rate may be chance, but the scores are higher than those of the" in output
    assert "% of these images are unlike them." in output
    assert "scores: evidence 10^" in output
