"""Write the page of the collapse study: the results of trainings from scratch on small folders."""

import pandas as pd

from belong.runtime.text import counted, table

NONE = "-"  # if all networks were refused
HEADINGS = [
    "folder", "network", "images", "fresh", "accuracy", "lowest", "guessing", "trained again",
    "refused", "at chance",
]  # fmt: skip


def page(rows: pd.DataFrame) -> str:
    """Return the page.

    Args:
        rows: one for each folder and seed: `folder`, `seed`, `network`, `images`, `attempts`,
            `refused` (the message, or empty), and of the accepted networks `fresh` (images),
            `accuracy` and `guessing` (the share of the largest class), 0 to 1, and `at_chance`.
    """
    measured = ["fresh", "accuracy", "guessing", "at_chance"]
    rows = rows.reindex(columns=[*rows.columns.union(measured)])
    folders = [_line(str(name), runs) for name, runs in rows.groupby("folder", sort=False)]
    seeds, collapsed = rows["seed"].nunique(), int(_at_chance(rows).sum())
    refused, left = int(_is_refused(rows).sum()), len(folders) * seeds - len(rows)
    missing = f" (still missing: {counted(left, 'training')})" if left else ""
    return "\n".join(
        [
            "# Trainings from scratch on small folders",
            "",
            f"**Result.** Of {counted(len(rows), 'training')}, {len(rows) - refused} yielded a "
            f"network, and {refused} were refused, because the network was at chance on held-out "
            f"images. Of the networks, {collapsed} were at chance on fresh images of the same "
            "classes, which were used for no decision.",
            "",
            f"{counted(len(folders), 'folder')} x {counted(seeds, 'seed')}: each seed draws "
            f"different images, parts and weights{missing}.",
            "",
            table(HEADINGS, folders, left=2),
            "",
            "`images`: training images. `fresh`: images that measure the network; none is in the "
            "folder. `accuracy`: accuracy of the accepted networks on the fresh images, mean and "
            "standard deviation over the seeds. `guessing`: share of the largest class. "
            "`trained again`: further attempts at a lower learning rate after a failure. "
            "`at chance`: networks with an accuracy that one random guess in a hundred reaches.",
            "",
            "`python -m reproduction.collapse_study.study` repeats the study; collapse.csv has "
            "each training.",
            "",
        ]
    )


def _line(name: str, runs: pd.DataFrame) -> list[str]:
    accuracy = runs["accuracy"].dropna().astype(float)
    spread = f" ± {accuracy.std():.3f}" if len(accuracy) > 1 else ""
    return [
        name,
        str(runs["network"].iloc[0]),
        f"{runs['images'].iloc[0]:,}",
        f"{int(runs['fresh'].max()):,}" if len(accuracy) else NONE,
        f"{accuracy.mean():.3f}{spread}" if len(accuracy) else NONE,
        f"{accuracy.min():.3f}" if len(accuracy) else NONE,
        f"{runs['guessing'].astype(float).mean():.3f}" if len(accuracy) else NONE,
        str(int(runs["attempts"].sum()) - len(runs)),
        str(int(_is_refused(runs).sum())),
        str(int(_at_chance(runs).sum())),
    ]


def _is_refused(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["refused"].astype(object).fillna("").astype(bool)


def _at_chance(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["at_chance"].eq(True)
