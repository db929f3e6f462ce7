"""The page of the study: what a cleaning found of planted images, and what a training gained."""

import pandas as pd

from belong.runtime.text import table


def page(
    found: pd.DataFrame,
    accuracy: pd.DataFrame,
    names: tuple[str, str],
    *,
    images: int,
    epochs: int | None,
) -> str:
    """Return README.md of the results.

    Args:
        found: a row for each seed, kind and level: `seed`, `planted`, `verdict`, `images`,
            `named`, `right`.
        accuracy: a row for each seed and set: `seed`, `trained_on`, `images`, `accuracy`.
        names: of the images that belong, and of the foreign ones.
        images: that were drawn for each seed.
        epochs: of each training; None as `belong fit` plans them.
    """
    counts = found.groupby(["planted", "verdict"], sort=False)[["images", "named", "right"]].sum()
    counts = counts.reset_index()
    numbers = counts[["images", "named", "right"]].to_numpy()
    rows = [
        [
            planted,
            verdict,
            *(f"{n:,}" for n in (wanted, named, right)),
            f"{right / max(1, named):.3f}",
            f"{right / max(1, wanted):.3f}",
        ]
        for planted, verdict, (wanted, named, right) in zip(
            counts["planted"], counts["verdict"], numbers.tolist(), strict=True
        )
    ]
    means = accuracy.groupby("trained_on", sort=False).agg(
        images=("images", "mean"), mean=("accuracy", "mean"), std=("accuracy", "std")
    )
    seeds = accuracy["seed"].nunique()
    spread = [f" ± {std:.4f}" if seeds > 1 else "" for std in means["std"]]
    learned = [
        [str(name), f"{one['images']:,.0f}", f"{one['mean']:.4f}{own}"]
        for (name, one), own in zip(means.iterrows(), spread, strict=True)
    ]
    passes = f"{epochs} passes" if epochs else "as many passes as `belong fit` plans"
    swapped = int(found.loc[found["planted"] == "swapped", "images"].iloc[0])
    headings = ["planted", "put aside", "images", "named", "rightly", "precision", "recall"]
    return "\n".join(
        [
            f"# What `belong clean` finds: {names[0]} with {names[1]} planted",
            "",
            f"Of {images:,} training images of {names[0]}, {swapped:,} were given the label of "
            f"another class, and {swapped:,} of {names[1]} were added under labels drawn at "
            f"random; {seeds} draw(s), counted together; {passes}. An image is named rightly where "
            "it is named for what it is; `either` asks only whether it is named.",
            "",
            f"**The stated share of false alarms is not kept.** {_came_to(counts)} Some of these "
            "are odd images of the data set itself, whose labels nobody has looked at; the rest is "
            "of the law that is laid through the bulk of the distances, and of two looks at each "
            "image, for a wrong label and for a foreign image, each at that share.",
            "",
            table(headings, rows, left=2),
            "",
            "A network trained on each set, on the official test images:",
            "",
            table(["trained on", "images", "accuracy"], learned),
            "",
            "`python -m reproduction.clean_study.study` remakes this page; found.csv and "
            "accuracy.csv have each seed.",
            "",
        ]
    )


def _came_to(counts: pd.DataFrame) -> str:
    """Say what the stated shares came to, of all images that were named."""
    either = counts[counts["planted"] == "either"].set_index("verdict")
    came = 1 - either["right"] / either["named"].clip(lower=1)
    return (
        f"In quarantine, stated as 0.05, it came to {came['quarantine']:.2f}; with those to "
        f"review, up to 0.2, to {came['or review']:.2f}."
    )
