"""The page: what training images say of each way, and test images of the one in use."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from belong.evaluation.evaluate import set_of
from belong.runtime.text import counted, table
from reproduction.combination_study.rules import FROZEN, MEASURED, RULES, TAIL, TAILS, WHOLE, Way
from reproduction.combination_study.synthetic import KINDS

# What belong.parameters has, in the terms of the study.
IN_USE = {
    "whole": Way("earlier + gram_maps", "fisher", TAIL),
    "frozen": Way("earlier", "stouffer", TAIL),
}
EARLIER = {"whole": Way("earlier", "fisher", TAIL), "frozen": Way("earlier", "stouffer", TAIL)}
SETS = {"whole": WHOLE, "frozen": FROZEN}
BAR, BLURRED = 0.002, 0.998
SUPERVISED = "mlp_head"

HEAD = """\
# How `combined` makes one score of several detectors

Made by `python -m reproduction.combination_study` from [combined.csv](combined.csv).
A number is the mean AUROC ± the standard deviation over seeds, (n seeds).

Two kinds of anomalies can be had from training images alone:

- **synthetic**: {kinds} kinds made of held-out training images, none of which is one that the test
  images below are spoiled by ([{names}](../../reproduction/combination_study/synthetic.py));
- **left out**: classes on which neither the network nor any detector was trained, in turns.

The members follow a rule that is older than this study: one detector for each place in which an
anomaly may show, which are the layers, the pattern of active nodes, the logits and the codes of the
autoencoder. Beside these ("earlier"), a second detector on the first maps was tried (`gram_maps`,
which notices what is too weak or too strong everywhere), and one on the image (`reconstruction`).
The rules are in [rules.py](../../reproduction/combination_study/rules.py); Brown's method has the
order, and thus the AUROC, of Fisher's.

**How the choice was made, and what it is worth.** It was made on one network (MNIST against
FashionMNIST, lambda 1, seed 0), by synthetic anomalies, before any class was left out. About 90
combinations of members, rules, exponents and tails were looked at, and the AUROC on that network's
test images stood beside them: the test rows of that pair are no independent check. `gram_maps` was
tried because blurred test images were a known hole. `reconstruction` is not in use although the
tables below may favor it: the members keep to one detector for each place, and on that network it
has an AUROC of 0.510 on classes left out, so that the rule for blind members leaves it out. The
harmonic rule and Fisher's, which was in use before, are equal on what training images say within
0.001, so the simpler one stays.
"""


def page(rows: pd.DataFrame) -> str:
    """Return the page of the cells' rows, as `study.table_of` has them, with the cells' names."""
    parts = [HEAD.format(kinds=len(KINDS), names=", ".join(KINDS))]
    for kind, title in (
        ("whole", "The whole network trained"),
        ("frozen", "Above a frozen backbone"),
    ):
        group = rows[rows["kind"] == kind]
        if group.empty:
            continue
        is_photo = rows["pair"].str.startswith("cifar")
        left_out = rows[(rows["kind"] == "left_out") & (is_photo == (kind == "frozen"))]
        parts += [
            f"## {title}",
            "### What training images say",
            _choice(kind, group, left_out),
            "### What the test images say",
            _measured(kind, group),
        ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _choice(kind: str, rows: pd.DataFrame, left_out: pd.DataFrame) -> str:
    """Return the tables of the ways on synthetic anomalies and on classes left out."""
    cells = rows[["pair", "lambda", "seed"]].drop_duplicates()
    left_out = left_out[left_out["anomalies"] == "left_out"]
    means = rows.groupby(["anomalies", "way"])["auroc"].mean()
    of_way = pd.DataFrame(
        {
            "synthetic": means["synthetic"],
            "worst kind": means["worst kind"],
            "left out": left_out.groupby("way")["auroc"].mean(),
        }
    )
    of_way["both"] = of_way[["synthetic", "left out"]].mean(axis=1, skipna=False)
    columns = [str(name) for name in of_way if of_way[name].notna().any()]

    def lines(ways: Iterable[Way]) -> list[tuple[str, ...]]:
        chosen = IN_USE[kind]
        return [
            tuple(
                f"**{cell}**" if way == chosen else cell
                for cell in (
                    way.members,
                    way.rule,
                    f"{way.tail:g}",
                    *_cells(of_way[columns].T[str(way)]),
                )
            )
            for way in ways
        ]

    head = ("members", "rule", "tail", *columns)
    every = [Way(members, rule, TAIL) for members in SETS[kind] for rule in RULES]
    tails = [
        Way(IN_USE[kind].members, rule, tail) for rule in ("fisher", "harmonic") for tail in TAILS
    ]
    text = f"{counted(len(cells), 'training')} with {counted(len(KINDS), 'kind')} each"
    folds = len(left_out[["pair", "seed"]].drop_duplicates())
    if folds:
        text += f"; {counted(folds, 'training')} without some classes"
    return "\n\n".join(
        [
            f"{text}. In use: bold.",
            table(head, lines(every), left=2),
            "Other tails:",
            table(head, lines(tails), left=2),
        ]
    )


def _cells(numbers: Iterable[float]) -> list[str]:
    return ["-" if np.isnan(x) else f"{x:.4f}" for x in numbers]


def _measured(kind: str, rows: pd.DataFrame) -> str:
    """Return the table of `combined` beside the best single detector, and where it is worse."""
    tested = rows[~rows["anomalies"].isin(["synthetic", "worst kind"])]
    lines, misses, beaten = [], [], []
    differences: dict[str, list[float]] = {}
    sets = tested.astype({"pair": str, "anomalies": str}).groupby(
        ["pair", "lambda", "anomalies"], sort=False
    )
    for names, set_rows in sets:
        pair, weight, anomalies = str(names[0]), float(str(names[1])), str(names[2])
        of_way = set_rows.groupby("way")["auroc"]
        means = of_way.mean()
        single = means[[way for way in means.index if ";" not in way and way != "combined"]]
        best = str(single.drop(SUPERVISED, errors="ignore").idxmax())
        differs = means[str(IN_USE[kind])] - single[best]
        for way in map(str, MEASURED):
            differences.setdefault(way, []).append(means[way] - single[best])
        name = set_of(anomalies)
        if round(differs, 4) < -BAR:
            misses.append(f"{pair}, lambda {weight:g}, {name} ({differs:+.4f})")
        loss = means[str(IN_USE[kind])] - single.get(SUPERVISED, 0)
        if round(loss, 4) < -BAR:
            beaten.append(f"{pair}, lambda {weight:g}, {name} ({loss:+.4f})")
        lines.append(
            (
                pair, f"{weight:g}", name, _spread(of_way.get_group(str(IN_USE[kind]))),
                f"{means[str(EARLIER[kind])]:.4f}", f"`{best}`", _spread(of_way.get_group(best)),
                f"{differs:+.4f}", f"{single[SUPERVISED]:.4f}" if SUPERVISED in single else "-",
            )
        )  # fmt: skip
    head = (
        "pair",
        "lambda",
        "anomalies",
        "`combined`",
        "as it was",
        "best single",
        "its AUROC",
        "difference",
        f"`{SUPERVISED}`",
    )
    sentence = (
        f"`combined` is at most {BAR} below the best single detector, which only the test images "
        f"name, on {len(lines) - len(misses)} of {len(lines)} sets"
    )
    sentence += f"; not on {'; '.join(misses)}." if misses else "."
    return (
        f"{sentence} `{SUPERVISED}`, which has learned from anomalies of the pair, is not counted "
        f"there; it is better by more than {BAR} on {'; '.join(beaten) or 'no set'}.\n\n"
        f"{table(head, lines, left=3)}\n\n"
        "The same of other rules and members, less the best single detector of each set:\n\n"
        + table(
            ("members", "rule", "mean", "worst set"),
            [
                (way.members, way.rule, f"{np.mean(set_rows):+.4f}", f"{min(set_rows):+.4f}")
                for way in MEASURED
                for set_rows in [differences[str(way)]]
            ],
            left=2,
        )
    )


def _spread(values: pd.Series) -> str:
    deviation = f" ± {values.std():.4f}" if len(values) > 1 else ""
    return f"{values.mean():.4f}{deviation} ({len(values)})"
