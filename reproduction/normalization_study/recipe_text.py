"""Say which recipe the trials choose, and how far it brings the Mahalanobis distance."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from belong.runtime.text import counted, table
from reproduction.normalization_study.measures import NORMALIZED, RAW
from reproduction.paper.seed_statistics import Comparison, mean_and_sd

# The Mahalanobis distance and its forms, of which a trial chooses one together with the recipe.
FORMS = tuple(
    f"{detector}.{features}"
    for detector in ("mahalanobis", "mahalanobis_tied")
    for features in (RAW, NORMALIZED)
)
RULE = "left_out"
CRITERIA = {
    "left_out": "AUROC of left-out digits",
    "derived": "AUROC of derived anomalies",
    "accuracy": "accuracy",
    "nll": "log-likelihood",
}
TARGETS = {"digit_0": "digit 0", "fashion": "FashionMNIST"}
PAIRS = {
    "mnist-fashion-mnist": ("mnist", "fashion-mnist", "MNIST against FashionMNIST"),
    "digit-0": ("mnist-1-9", "mnist-0", "MNIST 1 to 9 against 0"),
}


@dataclass(frozen=True)
class Choice:
    """A recipe, its lambda, and a form of the distance."""

    recipe: str
    lambda_: float
    form: str

    @property
    def in_words(self) -> str:
        """The choice, for the page."""
        detector, features = self.form.split(".")
        return (
            f"the recipe `{self.recipe}` (lambda {self.lambda_:g}) and `{detector}` on {features} "
            "features"
        )


def chosen(trials: pd.DataFrame) -> Choice:
    """Return the choice that best finds the left-out digits, on average over the seeds."""
    means = trials.groupby(["recipe", "lambda"])[[f"{form}.{RULE}" for form in FORMS]].mean()
    column = str(means.max().idxmax())
    recipe, lambda_ = means.index[int(means[column].argmax())]
    return Choice(str(recipe), float(lambda_), column.removesuffix(f".{RULE}"))


def targets(published: pd.DataFrame) -> Mapping[str, float]:
    """Return the highest published AUROC of the Mahalanobis distance of each pair."""
    rows = published[published["detector"] == "mahalanobis"]
    return {
        pair: float(
            rows.loc[(rows["normal"] == normal) & (rows["anomaly"] == anomaly), "auroc"].max()
        )
        for pair, (normal, anomaly, _) in PAIRS.items()
    }


def text(digits: pd.DataFrame, trials: pd.DataFrame, published: pd.DataFrame) -> str:
    """Return the section; the arguments are those of `page`."""
    choice = chosen(trials)
    return "\n".join(
        [
            "The paper names no optimizer, no epochs and no other detail of its training. Which "
            "recipe gives its Mahalanobis distance?",
            "",
            _trials(trials),
            "",
            f"The rule, fixed before the trials: the recipe and the form of the distance that "
            f"find the left-out digits best. It chooses {choice.in_words}.",
            "",
            _how_well_it_chooses(trials, targets(published)),
            "",
            _confirmation(digits, choice, targets(published)),
        ]
    )


def _trials(trials: pd.DataFrame) -> str:
    rows = []
    for recipe, group in trials.groupby("recipe", sort=False):
        best = max(FORMS, key=lambda form: group[f"{form}.{RULE}"].mean())
        measured = [
            *(f"{group[name].mean():.4f}" for name in ("accuracy", "nll")),
            *(f"{group[f'{best}.{name}'].mean():.4f}" for name in (RULE, "derived", *TARGETS)),
        ]
        detector, features = best.split(".")
        rows.append([f"`{recipe}`", f"`{detector}`, {features}", *measured])
    rows.sort(key=lambda row: row[4], reverse=True)
    count = trials["recipe"].nunique()
    headings = [
        "recipe", "form", "accuracy", "NLL", "left-out digits", "derived", *TARGETS.values(),
    ]  # fmt: skip
    return "\n".join(
        [
            f"{counted(count, 'recipe')} were tried on 20,000 images of the digits 1 to 6. What "
            "may choose: accuracy and negative log-likelihood (NLL) on held-out images, the AUROC "
            "of held-out images against training images of the digits 7 to 9, which were left out, "
            "and against anomalies derived from held-out images (`derive` in params.yaml). The "
            "last two columns, of test images, choose nothing. The form is the one with the "
            "highest AUROC on the left-out digits.",
            "",
            table(headings, rows, left=2),
        ]
    )


def _how_well_it_chooses(trials: pd.DataFrame, published: Mapping[str, float]) -> str:
    rows = []
    for name, title in CRITERIA.items():
        row = [title]
        for target in TARGETS:
            choices = pd.concat(
                [
                    pd.DataFrame(
                        {
                            "criterion": trials[
                                f"{form}.{name}" if name in (RULE, "derived") else name
                            ],
                            "target": trials[f"{form}.{target}"],
                        }
                    )
                    for form in FORMS
                ]
            )
            sign = -1 if name == "nll" else 1
            row.append(
                f"{sign * choices['criterion'].corr(choices['target'], method='spearman'):+.2f}"
            )
        rows.append(row)
    return "\n".join(
        [
            "Spearman's rank correlation of each criterion with the AUROC on what is to be found, "
            f"over all recipes and the {len(FORMS)} forms:",
            "",
            table(["criterion", *TARGETS.values()], rows),
            "",
            _range(trials, published),
        ]
    )


def _range(trials: pd.DataFrame, published: Mapping[str, float]) -> str:
    """Say between which numbers the trials lie, and how many reach the published ones."""
    sentences = []
    for name, pair in (("fashion", "mnist-fashion-mnist"), ("digit_0", "digit-0")):
        every = trials[[f"{form}.{name}" for form in FORMS]].to_numpy().ravel()
        reached = int((every >= published[pair]).sum())
        sentences.append(
            f"on {TARGETS[name]} from {every.min():.4f} to {every.max():.4f}, and {reached} of "
            f"{len(every)} reach the published {published[pair]:.4f}"
        )
    return f"The AUROC of these networks and forms lies {'; '.join(sentences)}."


def _confirmation(digits: pd.DataFrame, choice: Choice, published: Mapping[str, float]) -> str:
    rows: list[list[str]] = []
    reached: list[tuple[str, pd.Series, float]] = []
    highest: dict[str, tuple[str, pd.Series]] = {}
    for pair, (_, _, title) in PAIRS.items():
        target = published[pair]
        run = digits[digits["pair"] == pair]
        for recipe, lambda_ in run[["recipe", "lambda"]].drop_duplicates().to_numpy().tolist():
            group = run[(run["recipe"] == recipe) & (run["lambda"] == lambda_)]
            for form in FORMS:
                values = group.set_index("seed")[f"{form}.anomaly"].dropna()
                detector, features = form.split(".")
                if Choice(recipe, lambda_, form) == choice:
                    reached.append((title, values, target))
                if pair not in highest or values.mean() > highest[pair][1].mean():
                    highest[pair] = (
                        f"`{recipe}`, lambda {lambda_:g}, `{detector}`, {features}",
                        values,
                    )
                rows.append(
                    [title, f"`{recipe}`", f"{lambda_:g}", f"`{detector}`", features,
                     mean_and_sd(values), f"{values.max():.4f}", f"{target:.4f}",
                     "yes" if values.mean() >= target else "no"]
                )  # fmt: skip
    sentences = [
        f"{title}: {mean_and_sd(values)}, published {target:.4f}: "
        f"**{'reached' if values.mean() >= target else 'not reached'}**"
        f"{_interval(values, target)}."
        for title, values, target in reached
    ]
    highest_lines = [
        f"{PAIRS[pair][2]}: {what}, {mean_and_sd(values)}, published {published[pair]:.4f}."
        for pair, (what, values) in highest.items()
    ]
    return "\n".join(
        [
            "On all images of both pairs, that choice gives:",
            "",
            *(f"- {line}" for line in sentences or ["It has not been run."]),
            "",
            "The highest mean of all that was run, picked with the test images in sight:",
            "",
            *(f"- {line}" for line in highest_lines),
            "",
            "<details><summary>All recipes on all images</summary>",
            "",
            table(
                ["pair", "recipe", "lambda", "detector", "features", "AUROC", "best seed",
                 "published", "mean reaches it"],
                rows,
                left=5,
            ),
            "",
            "</details>",
        ]
    )  # fmt: skip


def _interval(values: pd.Series, target: float) -> str:
    if len(values) < 2:
        return ""
    low, high = Comparison.of("less published", values - target).interval
    return f"; less the published one {low:+.4f} to {high:+.4f} (95%)"
