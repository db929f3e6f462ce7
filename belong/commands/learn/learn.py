"""Take corrections into a model, and say what that changes: the work of `belong learn`."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from belong.commands.learn.review import NOT_MINE, Review, read_review
from belong.data.decode_pool import decoded
from belong.data.file_discovery import below
from belong.prediction.bundle import Bundle
from belong.prediction.learning_data import LearningData
from belong.prediction.model import Model, load_model
from belong.prediction.model_card import summary as card_summary
from belong.runtime import portable_math
from belong.runtime.arguments import as_path, check_place
from belong.runtime.errors import InputError
from belong.runtime.process_lock import one_writer
from belong.runtime.progress import bar
from belong.runtime.storage import save_csv, save_json, whole_folder
from belong.runtime.text import counted, exact, on_stderr, printable

if TYPE_CHECKING:
    from belong.prediction.predictor import Predictor

CHANGES, SUMMARY = "changes.csv", "summary.json"
MOST_SEEN = 2000  # images of the reviewed folder, beside the reviewed ones
BATCH = 256
COLUMNS = (
    "path", "answer", "class_before", "class_after", "belongs_before", "belongs_after",
    "p_value_before", "p_value_after",
)  # fmt: skip


@dataclass(frozen=True)
class LearnResult:
    """The result of `belong.learn`.

    Attributes:
        model: the new model.
        changes: a row for each image that was looked at: `path`, `answer` ("mine: CLASS",
            "not mine", or empty), and the class, the verdict and the p-value before and after.
        summary: counts, rates before and after, and the state of the guarantee.
    """

    model: Model
    changes: pd.DataFrame
    summary: dict[str, Any]

    @property
    def text(self) -> str:
        """The changes in a few lines, as `belong learn` prints them."""
        return "\n".join(_sentences(self.summary))


def learn(
    model: str | PathLike[str] | Model,
    output: str | PathLike[str],
    *,
    review: str | PathLike[str],
    images: str | PathLike[str] | None = None,
) -> LearnResult:
    """Take a person's corrections into a model.

    The images that are said to belong train the network and the detectors, those of a new class
    too; the images that are said not to belong train a head, if there are at least 20 in this and
    all reviews before. Nothing else of the training images is needed than what `belong fit` kept
    beside the model. The threshold is set again on the same calibration images as before: no
    reviewed image is among them. If the training images calibrate, each does so again by fits
    without it.

    Args:
        model: a model of `belong.fit`, or its folder.
        output: the new model, a new folder.
        review: the review.csv that the gallery of `belong score` saved.
        images: the folder of the reviewed images; None: the one that the file names.

    Returns:
        The new model, and what changed.

    Raises:
        InputError: the review or the model cannot be used; the message says why.

    Example:
        >>> belong.learn("model", "new", review="review.csv")
        Traceback (most recent call last):
        ...
        belong.runtime.errors.InputError: model: has no learning.safetensors, in which `belong fit`
        keeps what it learned from; expected such a model: fit it again, with the new images in its
        folder
    """
    start = time.perf_counter()
    out = as_path("output", output)
    if out.exists() or out.is_symlink():
        raise InputError(f"{printable(out)}: exists already; expected the name of a new folder")
    check_place(out)
    old = model if isinstance(model, Model) else load_model(as_path("model", model))
    digest, manifest = old.info.digest, old.info
    data = LearningData.load(old.folder, digest)
    folder = None if images is None else as_path("images", images)
    answers = read_review(
        as_path("review", review), digest=digest, class_names=manifest.class_names, folder=folder
    )
    if answers.new_classes and not data.is_frozen:
        raise InputError(
            f"{printable(old.folder)}: its whole network was trained, to {len(old.class_names)} "
            f"classes: {answers.new_classes[0]!r} needs `belong fit`, with its images in a folder"
        )
    # Not at the top: torch comes with it, and a mistake in the review is answered before.
    from belong.commands.learn.refit import foreign_count, has_head, refit
    from belong.models import device as devices

    with devices.callers_settings(), one_writer(out, on_stderr):
        devices.compute_repeatably(data.parameters.threads, portable_math.current())
        files = _files(answers)
        seen = _look(old, answers, files)
        corrections = _corrections(seen, answers, manifest.class_names)
        before = _verdicts(old.predictor, seen)
        bundle, learned = refit(old.bundle, data, corrections, backbone=old.predictor.backbone)
        with whole_folder(out) as part:
            bundle = bundle.save(part)
            new = Model(bundle, out, old.device, old.backbone)
            changes = _changes(answers, seen, before, _verdicts(new.predictor, seen))
            is_kept = learned.save(part, bundle.manifest.digest)
            summary = _summary(
                old.bundle,
                bundle,
                answers,
                changes,
                foreign=foreign_count(learned),
                has_head=has_head(old.bundle, learned),
            )
            summary |= {
                "is_learnable": is_kept,
                "seconds": round(time.perf_counter() - start, 1),
            }
            save_csv(part / CHANGES, changes)
            save_json(part / SUMMARY, card_summary(bundle.manifest) | {"learned": summary})
    return LearnResult(load_model(out, device=old.device, backbone=old.backbone), changes, summary)


# --- the images ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """The reviewed images, first, and others of their folder: n that could be read."""

    files: list[str]
    inputs: Mapping[str, np.ndarray]
    pixels: np.ndarray  # (k, ch, h, w) of the reviewed ones


def _files(said: Review) -> list[str]:
    """Return the reviewed images, and others of their folder, drawn if there are too many."""
    reviewed = list(said.answers)
    if not said.folder:
        return reviewed
    others = [file for file in below(Path(said.folder)).files if file not in said.answers]
    if len(others) > MOST_SEEN:
        drawn = np.random.default_rng(0).choice(len(others), MOST_SEEN, replace=False)
        others = [others[place] for place in np.sort(drawn)]
    return reviewed + others


def _look(model: Model, said: Review, files: Sequence[str]) -> _Seen:
    """Decode the images, and pass them through the networks that stay."""
    batches = [files[at : at + BATCH] for at in range(0, len(files), BATCH)]
    paths = ([said.path(file) for file in batch] for batch in batches)
    read: list[str] = []
    parts: list[dict[str, np.ndarray]] = []
    pixels: list[np.ndarray] = []
    with (
        bar(len(files), "look", "image") as progress,
        closing(decoded(paths, model.info.form, jobs=1)) as answers,
    ):
        for batch, some in zip(batches, answers, strict=True):
            pictures = {}
            for file, one in zip(batch, some, strict=True):
                if not isinstance(one, str):
                    pictures[file] = one.pixels
                elif file in said.answers:
                    raise InputError(f"{printable(said.path(file))}: cannot be read: {one}")
            if pictures:
                parts.append(model.predictor.inputs(np.stack(list(pictures.values()))))
                pixels += [one for file, one in pictures.items() if file in said.answers]
                read += pictures
            progress.update(len(batch))
    inputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _Seen(read, inputs, np.stack(pixels))


def _corrections(seen: _Seen, said: Review, class_names: Iterable[str]) -> Any:
    from belong.commands.learn.refit import Corrections

    names = [*class_names, *said.new_classes]
    labels = {name: label for label, name in enumerate(names)} | {NOT_MINE: -1}
    k = len(said.answers)
    answers = [labels[said.answers[file]] for file in seen.files[:k]]
    inputs = {name: values[:k] for name, values in seen.inputs.items()}
    return Corrections(inputs, np.array(answers, np.int64), seen.pixels, names)


def _verdicts(predictor: "Predictor", seen: _Seen) -> pd.DataFrame:
    """Return the class, the verdict and the p-value of each image: the columns of changes.csv."""
    scores = predictor.score_inputs(seen.inputs)
    names = np.array(predictor.manifest.class_names, object)
    return pd.DataFrame(
        {"class": names[scores.label], "belongs": scores.belongs, "p_value": scores.p_value}
    )


# --- what changed -------------------------------------------------------------------------------


def _changes(said: Review, seen: _Seen, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    answers = [said.answers.get(file) for file in seen.files]
    words = ["" if one is None else f"mine: {one}" if one else "not mine" for one in answers]
    table = pd.DataFrame({"path": [exact(file) for file in seen.files], "answer": words})
    for name in ("class", "belongs", "p_value"):
        table[f"{name}_before"], table[f"{name}_after"] = before[name], after[name]
    return table[list(COLUMNS)]


def _summary(
    old: Bundle,
    new: Bundle,
    said: Review,
    changes: pd.DataFrame,
    *,
    foreign: int,
    has_head: bool,
) -> dict[str, Any]:
    """Return what summary.json and the command say."""
    answers = list(said.answers.values())
    is_open = changes["answer"] == ""
    flips = {
        "now_belong": ~changes["belongs_before"] & changes["belongs_after"],
        "now_rejected": changes["belongs_before"] & ~changes["belongs_after"],
    }
    rates = {
        when: {
            "accuracy": bundle.manifest.measured.accuracy,
            "false_reject": bundle.manifest.measured.false_reject,
            "auroc": bundle.manifest.measured.auroc,
        }
        for when, bundle in (("before", old), ("after", new))
    }
    ours = len([one for one in answers if one])
    return {
        "answers": {"mine": ours, "not_mine": len(answers) - ours},
        "new_classes": said.new_classes,
        "foreign_images": foreign,
        "has_head": has_head,
        "test_images": new.manifest.measured.normal_images,
        "tests_itself": new.manifest.tests_itself,
        **rates,
        "looked_at": len(changes),
        "not_marked": {
            "images": int(is_open.sum()),
            "rejected_before": int((~changes["belongs_before"] & is_open).sum()),
            "rejected_after": int((~changes["belongs_after"] & is_open).sum()),
        },
        "flips": {name: int(which.sum()) for name, which in flips.items()},
        "alpha": new.manifest.alpha,
        "calibration_images": new.manifest.n_calibration,
        "guarantee": _guarantee(new, said, ours),
    }


def _guarantee(new: Bundle, said: Review, ours: int) -> str:
    """Return what the promise covers from now on."""
    alpha, n = new.manifest.alpha, new.manifest.n_calibration
    kept = (
        f"On average {alpha:.1%} of images like the calibration images are rejected: {n} images, "
        f"used in no training, set the threshold."
    )
    if new.manifest.cross_conformal:
        kept = (
            f"On average {alpha:.1%} of images like the first {n} training images are rejected, as "
            f"far as scores hardly change when a tenth of these is left out: each sets the "
            f"threshold by fits without it."
        )
    if not ours:
        return f"{kept} Reviewed images do not calibrate, as they were chosen by their verdicts."
    what = ", ".join(map(repr, said.new_classes)) or "the images that you marked as yours"
    return (
        f"{kept} This rate does not cover {what}: images chosen by their verdicts are no sample of "
        f"fresh images. To cover them, run `belong fit` with such images in its folder."
    )


def _sentences(summary: Mapping[str, Any]) -> list[str]:
    answers, before, after = (summary[key] for key in ("answers", "before", "after"))
    left, flips = summary["not_marked"], summary["flips"]
    foreign = counted(summary["foreign_images"], "image")
    head = (
        f"A head was trained on {foreign} marked as not yours."
        if summary["has_head"]
        else f"No head was trained: expected at least 20 images marked as not yours, got {foreign}."
    )
    new = summary["new_classes"]
    tested = f"On {summary['test_images']:,} test images"
    rejected = f"{before['false_reject']:.2%} rejected before, {after['false_reject']:.2%} after"
    if summary["tests_itself"]:
        tested = f"On {summary['test_images']:,} training images, each by fits without it"
        rejected = "false rejects are not measured"
    return [
        f"{counted(sum(answers.values()), 'answer')}: {answers['mine']:,} mine, "
        f"{answers['not_mine']:,} not mine"
        + (f"; new: {', '.join(map(printable, new))}" if new else ""),
        *([head] if summary["foreign_images"] else []),
        f"{tested}: accuracy {_share(before['accuracy'])} before, {_share(after['accuracy'])} "
        f"after; {rejected}.",
        f"Of {counted(summary['looked_at'], 'image')} that were looked at {flips['now_belong']:,} "
        f"belong now and {flips['now_rejected']:,} are rejected now; {CHANGES} lists them.",
        *(
            [
                f"Of the {left['images']:,} that were not marked {left['rejected_before']:,} were "
                f"rejected, and {left['rejected_after']:,} are."
            ]
            if left["images"]
            else []
        ),
        f"The promise: {summary['guarantee']}",
    ]


def _share(value: float | None) -> str:
    """Return a share in percent; of one class there is no accuracy."""
    return "none" if value is None else f"{value:.2%}"
