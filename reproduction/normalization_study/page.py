"""Write what the study found: the text of `reports/normalized/README.md`."""

from collections.abc import Iterator, Sequence

import pandas as pd

from belong.runtime.text import counted, table
from reproduction.normalization_study import recipe_text
from reproduction.normalization_study.effects import (
    DIGITS,
    LOWERS,
    OPEN,
    PHOTOS,
    RAISES,
    Effect,
    Task,
    effects,
    interaction,
    is_below_zero,
    lambdas,
    normalization,
    run_tasks,
    values,
)
from reproduction.normalization_study.measures import DETECTORS, NORMALIZED, RAW
from reproduction.normalization_study.recipes import DEFAULT
from reproduction.paper.seed_statistics import Comparison, mean_and_sd

FIGURE = "figures/against_lambda.png"
HIGHEST = 1.0  # of the paper's lambdas
NETWORKS = {DIGITS: "LeNet, trained from scratch", PHOTOS: "a layer above a frozen backbone"}


def page(
    digits: pd.DataFrame, photos: pd.DataFrame, trials: pd.DataFrame, published: pd.DataFrame
) -> str:
    """Return the page.

    Args:
        digits: a row for each cell of LeNet.
        photos: a row for each cell above the frozen backbone.
        trials: a row for each recipe that was tried.
        published: the paper's rows.
    """
    cells = cells_of(digits, photos)
    differences = list(effects(cells))
    return "\n".join(
        [
            "# Center loss x L2 normalization",
            "",
            f"**Result.** {_result(differences)}",
            "",
            "The two claims: [Paper A](../paper/README.md) and our grid report that center loss "
            "raises the AUROC of the Mahalanobis distance. A preprint (Ray, 2026, "
            "https://arxiv.org/abs/2605.21493) reports that center loss lowers the AUROC of the "
            "Mahalanobis distance on L2-normalized features, from 0.9483 to 0.9366 on CIFAR-10. "
            "This study measures both on the same networks.",
            "",
            "Made by `python -m reproduction.normalization_study page` from "
            "[digits.csv](digits.csv), [photos.csv](photos.csv) and [trials.csv](trials.csv); the "
            "module's first lines have the commands that make these.",
            "",
            "## The effect on each detector",
            "",
            _answer(differences, cells),
            "",
            f"![AUROC against lambda]({FIGURE})",
            "",
            "Mean and standard deviation over seeds.",
            "",
            "## What was measured",
            "",
            _design(cells),
            "",
            "## The change by center loss",
            "",
            _changes(differences),
            "",
            "## Two by two",
            "",
            f"Lambda 0 and {HIGHEST:g}, the largest of the paper. The last column is positive "
            "where center loss does more for normalized features than for raw ones.",
            "",
            *(_two_by_two(cells, task) for task in run_tasks(cells)),
            "## Every AUROC",
            "",
            *(_every(cells, task) for task in run_tasks(cells)),
            "## A recipe for the Mahalanobis distance",
            "",
            recipe_text.text(digits, trials, published),
            "",
        ]
    )


def cells_of(digits: pd.DataFrame, photos: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of the default recipe."""
    return pd.concat([digits[digits["recipe"] == DEFAULT.name], photos], ignore_index=True)


def _answer(differences: Sequence[Effect], cells: pd.DataFrame) -> str:
    rows = []
    for task in run_tasks(cells):
        for features in (RAW, NORMALIZED):
            effect_of = {
                one.detector: one
                for one in differences
                if (one.task, one.features) == (task, features)
            }
            rows.append([task.title, features, *(effect_of[name].verdict for name in DETECTORS)])
    headings = ["task", "features", *(f"`{name}`" for name in DETECTORS)]
    return "\n".join(
        [
            _on_distances(differences),
            "",
            "Effect of center loss on the AUROC of each detector, with 95% confidence for at "
            "least one lambda:",
            "",
            table(headings, rows, left=len(headings)),
            "",
            _together(cells),
            "",
            _normalizing(cells),
            "",
            _best(cells),
        ]
    )


def _result(differences: Sequence[Effect]) -> str:
    """Say which of the two claims on the Mahalanobis distances holds, and where."""
    signs = {}
    for data, features, matching in _of_gaussians(differences):
        raised, lowered = _counts(matching)
        signs[data, features] = RAISES if raised > lowered else LOWERS if lowered else OPEN
    first = [data for (data, features), sign in signs.items() if (features, sign) == (RAW, RAISES)]
    second = [
        data for (data, features), sign in signs.items() if (features, sign) == (NORMALIZED, LOWERS)
    ]
    other = [
        data
        for data in dict.fromkeys(d for d, _ in signs)
        if signs[data, RAW] != signs[data, NORMALIZED]
    ]
    turn = (
        f"Normalization changes the sign on {_listed(other)}."
        if other
        else "The sign is the same on raw and on normalized features: it depends not on the "
        "normalization but on the data or the network, which this study does not separate."
    )
    return (
        f"Paper A's claim, that center loss raises the AUROC of the Mahalanobis distance on raw "
        f"features, holds on {_listed(first)}. The claim of a preprint, that center loss lowers it "
        f"on normalized features, holds on {_listed(second)}. {turn}"
    )


def _on_distances(differences: Sequence[Effect]) -> str:
    """Count the effects on the Mahalanobis distances, for each kind of data."""
    sentences: dict[str, list[str]] = {}
    for data, features, matching in _of_gaussians(differences):
        gains = [one.changes[lambda_].mean for one in matching for lambda_ in one.raised]
        losses = [one.changes[lambda_].mean for one in matching for lambda_ in one.lowered]
        raised, lowered = _counts(matching)
        sentences.setdefault(data, []).append(
            f"on {features} features it raises the AUROC in {raised} of {len(matching)} pairs "
            f"of task and distance{_at_most(gains)}, "
            f"and lowers it in {lowered}{_at_most(losses)}"
        )
    return "\n".join(
        [
            "The effect of center loss on the three Mahalanobis distances (one covariance for each "
            "class, tied, relative):",
            "",
            *(
                f"- **On {data}** ({NETWORKS[data]}) {'; '.join(of)}."
                for data, of in sentences.items()
            ),
        ]
    )


def _of_gaussians(differences: Sequence[Effect]) -> Iterator[tuple[str, str, list[Effect]]]:
    """Yield the effects on the Mahalanobis distances, for each kind of data and of features."""
    of_gaussians = [one for one in differences if "mahalanobis" in one.detector]
    for data in dict.fromkeys(one.task.data for one in of_gaussians):
        for features in (RAW, NORMALIZED):
            yield (
                data,
                features,
                [one for one in of_gaussians if (one.task.data, one.features) == (data, features)],
            )


def _counts(effects_: Sequence[Effect]) -> tuple[int, int]:
    """Return how many effects raise the AUROC at some lambda, and how many lower it."""
    return sum(bool(one.raised) for one in effects_), sum(bool(one.lowered) for one in effects_)


def _at_most(changes: Sequence[float]) -> str:
    return f" (by {max(changes, key=abs):+.4f} at most)" if changes else ""


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) or "neither"


def _best(cells: pd.DataFrame) -> str:
    rows = []
    for task in run_tasks(cells):
        every = {
            (name, features, one): values(cells, task, name, features, one)
            for name in DETECTORS
            for features in (RAW, NORMALIZED)
            for one in lambdas(cells, task)
        }
        name, features, one = max(every, key=lambda which: every[which].mean())
        value = mean_and_sd(every[name, features, one])
        rows.append([task.title, f"`{name}`", features, f"{one:g}", value])
    return "\n".join(
        [
            "The highest mean of each task, selected on the test images and thus optimistic:",
            "",
            table(["task", "detector", "features", "lambda", "AUROC"], rows, left=4),
        ]
    )


def _together(cells: pd.DataFrame) -> str:
    """Say whether center loss and normalization add up."""
    every = [
        interaction(cells, task, name, HIGHEST) for task in run_tasks(cells) for name in DETECTORS
    ]
    less = sum(map(is_below_zero, every))
    more = sum(one.holds is True for one in every)
    return (
        f"Center loss and normalization combined: of {counted(len(every), 'pair')} of task and "
        f"detector, lambda {HIGHEST:g} changes the AUROC on normalized features less favorably "
        f"than on raw ones in {less}, and more favorably in {more} (95% confidence)."
    )


def _normalizing(cells: pd.DataFrame) -> str:
    rows = []
    for task in run_tasks(cells):
        for one in (0.0, HIGHEST):
            every = {name: normalization(cells, task, name, one) for name in DETECTORS}
            better = [f"`{name}`" for name, change in every.items() if change.holds]
            worse = [f"`{name}`" for name, change in every.items() if is_below_zero(change)]
            rows.append([task.title, f"{one:g}", ", ".join(better) or "-", ", ".join(worse) or "-"])
    return "\n".join(
        [
            "Effect of normalization on the AUROC, with 95% confidence:",
            "",
            table(["task", "lambda", "normalization raises", "normalization lowers"], rows, left=4),
        ]
    )


def _design(cells: pd.DataFrame) -> str:
    rows = []
    for task in run_tasks(cells):
        group = cells[cells["pair"].isin(task.pairs)]
        seeds = group.groupby(["pair", "lambda"])["seed"].nunique()
        accuracy = [
            mean_and_sd(group.loc[group["lambda"] == one].groupby("seed")["accuracy"].mean())
            for one in (0.0, HIGHEST)
        ]
        spread = (
            f"{seeds.min()}" if seeds.min() == seeds.max() else f"{seeds.min()} to {seeds.max()}"
        )
        rows.append(
            [task.title, ", ".join(f"{one:g}" for one in lambdas(cells, task)), spread, *accuracy]
        )
    return "\n".join(
        [
            "LeNet on digits, trained with the defaults of params.yaml on all images, or on 20,000 "
            "drawn images in 8 passes; on CIFAR-10 a layer of 128 "
            "features above the frozen EfficientNet-Lite0, as in [the study of photos]"
            "(../photos/README.md), the mean of its three parts. The detectors have the parameters "
            "of params.yaml: `mahalanobis` (one covariance for each class; shrunk, by Ledoit and "
            "Wolf, on photos), `mahalanobis_tied`, `relative_mahalanobis` and `feature_knn` "
            "(distance to the 50th nearest training image). Normalized features are divided by "
            "their L2 norm before anything is fitted to them. A seed draws the first weights, the "
            "order of the images and the calibration part.",
            "",
            table(
                ["task", "lambdas", "seeds", "accuracy at 0", f"accuracy at {HIGHEST:g}"],
                rows,
                left=2,
            ),
        ]
    )


def _changes(differences: Sequence[Effect]) -> str:
    positive = sorted({lambda_ for one in differences for lambda_ in one.changes})
    rows = [
        [
            one.task.title, f"`{one.detector}`", one.features,
            *(_interval(one.changes.get(lambda_)) for lambda_ in positive), one.verdict,
        ]
        for one in differences
    ]  # fmt: skip
    return "\n".join(
        [
            "AUROC less AUROC at lambda 0, paired by seed, with the 95% interval of Student's t, "
            "widened for the number of lambdas above 0 of the task (Bonferroni). Bold: the "
            "interval does not contain 0, which one in twenty would do by chance.",
            "",
            table(
                ["task", "detector", "features", *(f"{one:g}" for one in positive), "center loss"],
                rows,
                left=3,
            ),
        ]
    )


def _interval(one: Comparison | None) -> str:
    if one is None or one.n < 2:
        return "-"
    low, high = one.interval
    interval = f"{one.mean:+.4f} ({low:+.4f} to {high:+.4f})"
    return f"**{interval}**" if low > 0 or high < 0 else interval


def _two_by_two(cells: pd.DataFrame, task: Task) -> str:
    rows = [
        [
            f"`{detector}`",
            *(
                mean_and_sd(values(cells, task, detector, features, one))
                for features in (RAW, NORMALIZED)
                for one in (0.0, HIGHEST)
            ),
            _interval(interaction(cells, task, detector, HIGHEST)),
        ]
        for detector in DETECTORS
    ]
    headings = [f"{kind}, {one:g}" for kind in (RAW, NORMALIZED) for one in (0.0, HIGHEST)]
    return "\n".join(
        [f"{task.title}:", "", table(["detector", *headings, "interaction"], rows), ""]
    )


def _every(cells: pd.DataFrame, task: Task) -> str:
    weights = lambdas(cells, task)
    rows = [
        [
            f"`{detector}`", features,
            *(mean_and_sd(values(cells, task, detector, features, one)) for one in weights),
        ]
        for detector in DETECTORS
        for features in (RAW, NORMALIZED)
    ]  # fmt: skip
    headings = ["detector", "features", *(f"{one:g}" for one in weights)]
    return "\n".join([f"{task.title}, by lambda:", "", table(headings, rows, left=2), ""])
