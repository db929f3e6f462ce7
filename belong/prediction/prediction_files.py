"""Write predictions.csv, unreadable.csv, ignored.csv and the counts of summary.json."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from belong.calibration.false_discovery import least_reported
from belong.calibration.sample_size import PER_CLASS, least_alpha
from belong.calibration.verdict_rule import APPROXIMATELY, VerdictRule
from belong.prediction.manifest import Manifest
from belong.prediction.predictions import COLUMNS, Predictions
from belong.runtime.argument_names import named
from belong.runtime.errors import InputError
from belong.runtime.storage import read_bytes, save_rows, whole_file
from belong.runtime.text import in_table, percent_of, printable
from belong.runtime.unfinished import is_unfinished

PREDICTIONS, UNREADABLE, SUMMARY = "predictions.csv", "unreadable.csv", "summary.json"
IGNORED = "ignored.csv"
Rows = Sequence[Sequence[str]]


def rows_of(predictions: Predictions) -> list[list[str]]:
    """Return a row of COLUMNS for each image; numbers have six significant digits."""
    return [
        [f"{x:.6g}" if isinstance(x, float) else str(x) for x in prediction[: len(COLUMNS)]]
        for prediction in predictions
    ]


def save_tables(out: Path, pieces: Iterable[tuple[Rows, Rows]]) -> Counter[tuple[str, bool]]:
    """Write predictions.csv and unreadable.csv to `out`, both complete or neither.

    Args:
        out: the output folder.
        pieces: pairs of rows of COLUMNS and rows of (path, reason).

    Returns:
        (class, belongs) -> number of images.
    """
    counts: Counter[tuple[str, bool]] = Counter()
    with (
        whole_file(out / PREDICTIONS) as read_part,
        whole_file(out / UNREADABLE) as unread_part,
        read_part.open("w", encoding="utf-8", newline="") as read_file,
        unread_part.open("w", encoding="utf-8", newline="") as unread_file,
    ):
        save_rows(read_file, [COLUMNS])
        save_rows(unread_file, [("path", "reason")])
        for rows, bad in pieces:
            save_rows(read_file, rows)
            save_rows(unread_file, bad)
            counts.update((row[1], row[3] == "True") for row in rows)
            counts.update(("", False) for _ in bad)
    return counts


def save_ignored(out: Path, ignored: Iterable[tuple[str, str]]) -> None:
    """Write ignored.csv to `out`: (path, reason) of ignored files."""
    with whole_file(out / IGNORED) as part, part.open("w", encoding="utf-8", newline="") as file:
        save_rows(file, [("path", "reason")])
        save_rows(file, ((in_table(path), reason) for path, reason in ignored))


def summary_of(
    counts: Counter[tuple[str, bool]],
    manifest: Manifest,
    rule: VerdictRule,
    *,
    fdr: float | None = None,
) -> dict[str, Any]:
    """Return the content of summary.json.

    Args:
        counts: the counts of `save_tables`.
        manifest: the manifest of the model.
        rule: the rule that decided.
        fdr: the false discovery rate that was used instead of alpha, or None.

    Returns:
        `images`, `belongs`, `rejected`, `unreadable`; `rejected_share`, and `promised`, its range
        in 95 of 100 cases if all images belong, None with `fdr`; `guarantee`, see `guarantee_of`;
        `classes`; `model`, with its grades and verdict.
    """
    unreadable, assessment = counts["", False], manifest.assessment
    of_class = {
        name: {"belongs": counts[name, True], "rejected": counts[name, False]}
        for name in manifest.class_names
    }
    belongs = sum(one["belongs"] for one in of_class.values())
    rejected = sum(one["rejected"] for one in of_class.values())
    images = belongs + rejected
    per_class = [sum(one.values()) for one in of_class.values()]
    share = promised = None
    if images:
        share = round(rejected / images, 6)
    if images and fdr is None:
        low, high = (round(count / images, 6) for count in rule.rejects_range(per_class))
        promised = {"alpha": rule.alpha, "low": low, "high": high}
    return {
        "images": images,
        "belongs": belongs,
        "rejected": rejected,
        "unreadable": unreadable,
        "rejected_share": share,
        "promised": promised,
        "guarantee": guarantee_of(rule, manifest, rejected, per_class, fdr=fdr),
        "classes": of_class,
        "model": {
            "detector": manifest.detector,
            "network": manifest.network,
            "manifest_sha256": manifest.digest,
            "grade": {
                "classifier": assessment.classifier and assessment.classifier.level,
                "judge": assessment.judge.level,
            },
            "verdict": assessment.verdict,
        },
    }


def guarantee_of(
    rule: VerdictRule,
    manifest: Manifest,
    rejected: int,
    per_class: list[int],
    *,
    fdr: float | None,
) -> dict[str, Any]:
    """Return the guarantee for the rejected images, as the key `guarantee` of summary.json.

    Keys: `kind`, "fdr" or the guarantee of the rule; `share`, fdr or alpha; `sentence`;
    `by_chance`, the maximum mean number of false rejects among the `rejected` images; `in_words`,
    this number in words; `calibration_images`; `least_alpha`, the minimum alpha for this number;
    `threshold`, the maximum score of an image that belongs; `p_value`, the maximum p-value of a
    rejected image, None if none is rejected. "per-class" also has `classes`: for each class
    `calibration_images`, `least_alpha`, `threshold`, `p_value`, and `is_pooled`, true for a class
    with too few calibration images.
    """
    n, names = len(rule.pooled.scores), manifest.class_names
    kind: str = rule.guarantee
    by_chance, sentence = rule.by_chance(per_class), rule.sentence(names)
    if fdr is not None:
        kind, by_chance = "fdr", fdr * rejected
        sentence = (
            f"the Benjamini-Hochberg procedure limits the false discovery rate to {percent_of(fdr)}"
        )
        if not rejected:
            least = least_reported(n, sum(per_class), fdr=fdr)
            sentence += (
                f"; with {n:,} calibration images it rejects at least {least:,} images or none"
            )
        if rule.is_cross:
            sentence += f"; {APPROXIMATELY}"
    facts: dict[str, Any] = {
        "kind": kind,
        "share": rule.alpha,
        "sentence": sentence,
        "by_chance": round(by_chance, 3),
        "in_words": by_chance_in_words(rejected, by_chance, is_fdr=fdr is not None),
        "calibration_images": n,
        "least_alpha": least_alpha(n, rule.guarantee),
        "threshold": rule.pooled.threshold if np.isfinite(rule.pooled.threshold) else None,
        "p_value": round(rule.pooled.rank / (n + 1), 6) if rule.pooled.rank else None,
    }
    if kind == PER_CLASS:
        calibrations = {label: rule.of_class.get(label, rule.pooled) for label in range(len(names))}
        facts["classes"] = {
            names[label]: {
                "calibration_images": rule.few.get(label, len(one.scores)),
                "least_alpha": least_alpha(len(one.scores), rule.guarantee),
                "is_pooled": label in rule.few,
                "threshold": one.threshold,
                "p_value": round(one.rank / (len(one.scores) + 1), 6),
            }
            for label, one in calibrations.items()
        }
    return facts


def by_chance_in_words(rejected: int, by_chance: float, *, is_fdr: bool) -> str:
    """Describe the number of images that are rejected by chance."""
    count = round(by_chance)
    about = "fewer than 1" if by_chance < 1 else f"about {count:,}"
    all_rejected = f"{rejected:,} {'image is' if rejected == 1 else 'images are'} rejected"
    of_rejected = f"of the {rejected:,} rejected images"
    if is_fdr and rejected <= 1:
        return all_rejected
    most = about if by_chance < 1 else f"at most {about}"  # as many as if every image belonged
    if is_fdr:
        return f"on average, {most} {of_rejected} {'belongs' if count <= 1 else 'belong'}"
    if by_chance >= rejected or rejected == 1:
        return f"{all_rejected}; if all belonged, {about} would be rejected by chance"
    return f"{most} {of_rejected} {'is' if count <= 1 else 'are'} expected by chance"


def check_outside(out: Path, images: str) -> None:
    """Refuse an output in the folder of the images, where the next run would search it.

    Args:
        out: the output folder.
        images: the folder of the images, or "" for a list of images.

    Raises:
        InputError: the output is the folder of the images, or inside of it.
    """
    if not images:
        return
    to, source = out.resolve(), Path(images).resolve()
    if to == source or source in to.parents:
        raise InputError(
            f"{printable(out)}: expected an output outside of the folder of the images, "
            f"{printable(images)}, which the next run would search for images"
        )


def run_of(source: str, model: str) -> str:
    """Return the identifier of a run; see `check_free` for the arguments."""
    return json.dumps({"source": source, "model": model})


def check_free(out: Path, source: str, model: str) -> None:
    """Refuse a folder that holds the results of other images, or of another model.

    Args:
        out: the output folder.
        source: the name of the images in summary.json.
        model: the digest of the model's manifest.

    Raises:
        InputError: the message names the first file that would be overwritten.
    """
    names = (PREDICTIONS, UNREADABLE, IGNORED, SUMMARY)
    existing = [name for name in names if os.path.lexists(out / name)]
    try:
        before = json.loads(read_bytes(out / SUMMARY))
        is_own = (before["source"], before["model"]["manifest_sha256"]) == (source, model)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        is_own = False
    is_own = is_own or is_unfinished(out, run_of(source, model))
    if existing and not is_own:
        raise InputError(
            f"{printable(out)}: has the {existing[0]} of other images or of another model; "
            f"expected another folder, or {named('overwrite', value=True)}"
        )
