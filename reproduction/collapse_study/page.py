"""The page of the study: what became of the trainings on each folder."""

import pandas as pd

from belong.runtime.text import counted, table

NONE = "-"  # of networks that were all refused
HEADINGS = [
    "folder", "network", "images", "accuracy", "lowest", "guessing", "trained again", "refused",
    "at chance",
]  # fmt: skip


def page(rows: pd.DataFrame) -> str:
    """Return the page.

    Args:
        rows: one for each folder and seed: `folder`, `seed`, `network`, `images`, `attempts`,
            `refused` (the message, or empty), and of those that are not refused `accuracy` and
            `guessing` (the share of the largest class), 0 to 1, and `at_chance`.
    """
    rows = rows.reindex(columns=[*rows.columns.union(["accuracy", "guessing", "at_chance"])])
    folders = [_line(str(name), own) for name, own in rows.groupby("folder", sort=False)]
    seeds, collapsed = rows["seed"].nunique(), int(_at_chance(rows).sum())
    refused, left = int(_is_refused(rows).sum()), len(folders) * seeds - len(rows)
    missing = f" (still missing: {counted(left, 'training')})" if left else ""
    return "\n".join(
        [
            "# Trainings from scratch on small folders",
            "",
            f"{counted(len(folders), 'folder')} x {counted(seeds, 'seed')}: each seed draws other "
            f"images, other parts and other weights{missing}. Of {counted(len(rows), 'training')}, "
            f"{len(rows) - refused} gave a network, and {refused} were refused: the network was at "
            f"chance on the images held out of its training. Of the networks, {collapsed} were at "
            "chance on the test images, which chose nothing.",
            "",
            table(HEADINGS, folders, left=2),
            "",
            "`images`: that the network was trained on. `accuracy`: mean and standard deviation "
            "over the seeds, on the test images, of the networks that were not refused. "
            "`guessing`: the share of the largest class. `trained again`: attempts at a lower rate "
            "after one that failed. `at chance`: networks whose accuracy one guess in a hundred "
            "reaches; so many test images are few, and one network in a hundred that has learned "
            "nothing passes.",
            "",
            "`python -m reproduction.collapse_study.study` remakes this page; collapse.csv has "
            "each training.",
            "",
        ]
    )


def _line(name: str, own: pd.DataFrame) -> list[str]:
    accuracy = own["accuracy"].dropna().astype(float)
    spread = f" ± {accuracy.std():.3f}" if len(accuracy) > 1 else ""
    return [
        name,
        str(own["network"].iloc[0]),
        f"{own['images'].iloc[0]:,}",
        f"{accuracy.mean():.3f}{spread}" if len(accuracy) else NONE,
        f"{accuracy.min():.3f}" if len(accuracy) else NONE,
        f"{own['guessing'].astype(float).mean():.3f}" if len(accuracy) else NONE,
        str(int(own["attempts"].sum()) - len(own)),
        str(int(_is_refused(own).sum())),
        str(int(_at_chance(own).sum())),
    ]


def _is_refused(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["refused"].astype(object).fillna("").astype(bool)


def _at_chance(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["at_chance"].eq(True)
