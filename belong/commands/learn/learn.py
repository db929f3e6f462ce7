"""Update a model with a person's corrections, and report the changes, for `belong learn`."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from belong.calibration.sample_size import LEAST_FOREIGN
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
from belong.runtime.text import counted, exact, in_table, on_stderr, percent, percent_of, printable

if TYPE_CHECKING:
    from belong.prediction.predictor import Predictor

CHANGES, SUMMARY = "changes.csv", "summary.json"
MOST_SEEN = 2000  # maximum number of compared images without an answer
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
        changes: a row for each compared image: `path`, `answer` ("mine: CLASS", "not mine", or
            empty), and the class, the verdict and the p-value before and after.
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
    """Update a model with a person's corrections.

    The images marked as belonging train the network and the detectors, also those of a new class.
    The images marked as not belonging train a head, if this and all earlier reviews have at least
    20 of them. The original training images are not needed: `belong fit` saves their features in
    the model. The threshold is computed again from the same calibration images, which never include
    a reviewed image. In a cross-conformal model, each calibration image is scored again by fits
    without it.

    Args:
        model: a model of `belong.fit`, or its folder.
        output: a new folder for the new model.
        review: the review.csv saved by the gallery of `belong score`.
        images: the folder of the reviewed images; None: the folder in the review file.

    Returns:
        The new model, and the changes.

    Raises:
        InputError: `output` exists, or the review or the model cannot be used; the message has the
            reason.
        IntegrityError: the model is damaged.

    Example:
        >>> belong.learn("model", "new", review="review.csv")
        Traceback (most recent call last):
        ...
        belong.runtime.errors.InputError: model: has no learning.safetensors, the training data that
        `belong fit` saves; fit the model again, with the new images in its folder
    """
    start = time.perf_counter()
    out = as_path("output", output)
    if out.exists() or out.is_symlink():
        raise InputError(f"{printable(out)}: exists already; expected the name of a new folder")
    check_place(out)
    old = model if isinstance(model, Model) else load_model(as_path("model", model))
    digest, manifest = old.info.digest, old.info
    data = LearningData.load(
        model.absolute_folder if isinstance(model, Model) else old.folder, digest
    )
    folder = None if images is None else as_path("images", images)
    answers = read_review(
        as_path("review", review), digest=digest, class_names=manifest.class_names, folder=folder
    )
    if answers.new_classes and not data.is_frozen:
        raise InputError(
            f"{printable(old.folder)}: its network was trained as a whole, for "
            f"{len(old.class_names)} classes: the new class {answers.new_classes[0]!r} needs "
            f"`belong fit`, with a folder of its images"
        )
    # Imported here, as it needs torch: an error in the review is reported before this.
    from belong.commands.learn.refit import foreign_count, has_head, refit
    from belong.models import device as devices

    with devices.callers_settings(), one_writer(out, on_stderr):
        devices.compute_repeatably(data.parameters.threads, portable_math.current())
        files = _files(answers)
        images_read = _read(old, answers, files)
        corrections = _corrections(images_read, answers, manifest.class_names)
        before = _verdicts(old.predictor, images_read)
        bundle, new_data = refit(old.bundle, data, corrections, backbone=old.predictor.backbone)
        with whole_folder(out) as part:
            bundle = bundle.save(part)
            new = Model(bundle, out, old.device, old.backbone)
            changes = _changes(answers, images_read, before, _verdicts(new.predictor, images_read))
            is_learnable = new_data.save(part, bundle.manifest.digest)
            summary = _summary(
                old.bundle,
                bundle,
                answers,
                changes,
                foreign=foreign_count(new_data),
                has_head=has_head(old.bundle, new_data),
            )
            summary |= {
                "is_learnable": is_learnable,
                "seconds": round(time.perf_counter() - start, 1),
            }
            save_csv(part / CHANGES, changes)
            save_json(part / SUMMARY, card_summary(bundle.manifest) | {"learned": summary})
    return LearnResult(load_model(out, device=old.device, backbone=old.backbone), changes, summary)


# --- the images ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Images:
    """The n readable images: first the k reviewed images, then others of their folder.

    Attributes:
        files: n paths.
        inputs: name -> (n, ...), see `Predictor.inputs`.
        pixels: (k, ch, h, w) uint8 of the reviewed images.
    """

    files: list[str]
    inputs: Mapping[str, np.ndarray]
    pixels: np.ndarray


def _files(review: Review) -> list[str]:
    """Return the reviewed images, and others of their folder: at most a random `MOST_SEEN`."""
    reviewed = list(review.answers)
    if not review.folder:
        return reviewed
    other_files = [file for file in below(Path(review.folder)).files if file not in review.answers]
    if len(other_files) > MOST_SEEN:
        selection = np.random.default_rng(0).choice(len(other_files), MOST_SEEN, replace=False)
        other_files = [other_files[place] for place in np.sort(selection)]
    return reviewed + other_files


def _read(model: Model, review: Review, files: Sequence[str]) -> _Images:
    """Decode the images, and compute the inputs of the predictor from them."""
    batches = [files[at : at + BATCH] for at in range(0, len(files), BATCH)]
    paths = ([review.path(file) for file in batch] for batch in batches)
    read: list[str] = []
    parts: list[dict[str, np.ndarray]] = []
    pixels: list[np.ndarray] = []
    with (
        bar(len(files), "look", "image") as progress,
        closing(decoded(paths, model.info.form, jobs=1)) as decoded_batches,
    ):
        for batch, pictures_of_batch in zip(batches, decoded_batches, strict=True):
            pictures = {}
            for file, picture in zip(batch, pictures_of_batch, strict=True):
                if not isinstance(picture, str):
                    pictures[file] = picture.pixels
                elif file in review.answers:
                    raise InputError(f"{printable(review.path(file))}: cannot be read: {picture}")
            if pictures:
                parts.append(model.predictor.inputs(np.stack(list(pictures.values()))))
                pixels += [picture for file, picture in pictures.items() if file in review.answers]
                read += pictures
            progress.update(len(batch))
    inputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return _Images(read, inputs, np.stack(pixels))


def _corrections(images: _Images, review: Review, class_names: Iterable[str]) -> Any:
    from belong.commands.learn.refit import Corrections

    names = [*class_names, *review.new_classes]
    labels = {name: label for label, name in enumerate(names)} | {NOT_MINE: -1}
    k = len(review.answers)
    answers = [labels[review.answers[file]] for file in images.files[:k]]
    inputs = {name: values[:k] for name, values in images.inputs.items()}
    return Corrections(inputs, np.array(answers, np.int64), images.pixels, names)


def _verdicts(predictor: "Predictor", images: _Images) -> pd.DataFrame:
    """Return the class, the verdict and the p-value of each image: the columns of changes.csv."""
    scores = predictor.score_inputs(images.inputs)
    names = np.array(predictor.manifest.class_names, object)
    return pd.DataFrame(
        {"class": names[scores.label], "belongs": scores.belongs, "p_value": scores.p_value}
    )


# --- the changes --------------------------------------------------------------------------------


def _changes(
    review: Review, images: _Images, before: pd.DataFrame, after: pd.DataFrame
) -> pd.DataFrame:
    answers = [review.answers.get(file) for file in images.files]
    words = ["" if one is None else f"mine: {one}" if one else "not mine" for one in answers]
    paths = [in_table(exact(file)) for file in images.files]
    table = pd.DataFrame({"path": paths, "answer": words})
    for name in ("class", "belongs", "p_value"):
        table[f"{name}_before"], table[f"{name}_after"] = before[name], after[name]
    return table[list(COLUMNS)]


def _summary(
    old: Bundle,
    new: Bundle,
    review: Review,
    changes: pd.DataFrame,
    *,
    foreign: int,
    has_head: bool,
) -> dict[str, Any]:
    """Return the key `learned` of summary.json, which `_sentences` formats."""
    answers = list(review.answers.values())
    is_open = changes["answer"] == ""
    flips = {
        "now_belong": ~changes["belongs_before"] & changes["belongs_after"],
        "now_rejected": changes["belongs_before"] & ~changes["belongs_after"],
    }
    rates = {
        when: {
            "accuracy": bundle.manifest.measured.accuracy,
            "false_reject": None
            if bundle.manifest.tests_itself
            else bundle.manifest.measured.false_reject,
            "auroc": bundle.manifest.measured.auroc,
        }
        for when, bundle in (("before", old), ("after", new))
    }
    ours = len([one for one in answers if one])
    return {
        "answers": {"mine": ours, "not_mine": len(answers) - ours},
        "new_classes": review.new_classes,
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
        "guarantee": _guarantee(new, review, ours),
    }


def _guarantee(new: Bundle, review: Review, ours: int) -> str:
    """Describe which images the guarantee of the new model covers."""
    alpha, n = new.manifest.alpha, new.manifest.n_calibration
    promise = (
        f"On average {percent_of(alpha)} of images like the calibration images are rejected: {n} "
        "images that were not used in training set the threshold."
    )
    if new.manifest.cross_conformal:
        promise = (
            f"On average {percent_of(alpha)} of images like the first {n} training images are "
            "rejected, as long as scores hardly change when a tenth of these images is left out: "
            "each calibrates the threshold, scored by models fitted without it."
        )
    if not ours:
        return f"{promise} Reviewed images do not calibrate, as they were chosen by their verdicts."
    uncovered = ", ".join(map(repr, review.new_classes)) or "the images that you marked as yours"
    return (
        f"{promise} This rate does not cover {uncovered}: images chosen by their verdicts are no "
        f"sample of fresh images. To cover them, run `belong fit` with such images in its folder."
    )


def _sentences(summary: Mapping[str, Any]) -> list[str]:
    answers, before, after = (summary[key] for key in ("answers", "before", "after"))
    unmarked, flips = summary["not_marked"], summary["flips"]
    foreign = counted(summary["foreign_images"], "image")
    head = (
        f"A head was trained on {foreign} marked as not yours."
        if summary["has_head"]
        else (
            f"No head was trained: expected at least {LEAST_FOREIGN} images marked as not yours, "
            f"got {foreign}."
        )
    )
    new = summary["new_classes"]
    test_images = f"On {summary['test_images']:,} test images"
    if summary["tests_itself"]:
        test_images = (
            f"On {summary['test_images']:,} training images, each scored by models fitted without "
            "it"
        )
        rejected = "false rejects are not measured"
    else:
        shares = [_share(one["false_reject"]) for one in (before, after)]
        rejected = "{} rejected before, {} after".format(*shares)
    return [
        f"{counted(sum(answers.values()), 'answer')}: {answers['mine']:,} mine, "
        f"{answers['not_mine']:,} not mine"
        + (f"; new: {', '.join(map(printable, new))}" if new else ""),
        *([head] if summary["foreign_images"] else []),
        f"{test_images}: accuracy {_share(before['accuracy'])} before, {_share(after['accuracy'])} "
        f"after; {rejected}.",
        f"Verdicts that changed, of {counted(summary['looked_at'], 'compared image')}: "
        f"{flips['now_belong']:,} belong now, {flips['now_rejected']:,} are rejected now; "
        f"{CHANGES} lists them.",
        *(
            [
                f"Of the {unmarked['images']:,} that were not marked "
                f"{unmarked['rejected_before']:,} were rejected, and "
                f"{unmarked['rejected_after']:,} are."
            ]
            if unmarked["images"]
            else []
        ),
        f"The promise: {summary['guarantee']}",
    ]


def _share(value: float | None) -> str:
    """Format a share in percent; a model of one class has no accuracy."""
    return "none" if value is None else percent(value, 3)
