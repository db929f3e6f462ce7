"""Write a model card in plain text: assessment, training data and limits of a model.

After Mitchell et al., Model Cards for Model Reporting, 2019, https://arxiv.org/abs/1810.03993.
"""

import textwrap
from collections.abc import Iterable
from typing import Any

from belong.calibration.sample_size import CONDITIONAL, least_alpha
from belong.calibration.verdict_rule import promise
from belong.prediction.manifest import Manifest
from belong.runtime.text import counted, percent, percent_of

WIDTH, INDENT = 100, 18
# Part of the images -> its name for people.
PARTS = {
    "normal_train": "training",
    "normal_calibration": "calibration",
    "normal_test": "test",
    "anomaly_head": "anomalies of the supervised head",
    "anomaly_test": "test anomalies",
    "left_out_test": "test images of left-out classes",
    "unseen_test": "test images of another data set",
    "dropped": "excluded copies",
    "reviewed_ours": "reviewed",
}


def card(manifest: Manifest, name: str, guarantee: str | None = None) -> str:
    """Return the card of the model in the folder `name`; `guarantee`: in words."""
    form, training = manifest.form, manifest.trained_on
    parts = [
        f"{PARTS.get(part, part.replace('_', ' '))} {count:,}"
        for part, count in training.images.items()
    ]
    detector = manifest.detector
    if manifest.members:
        detector += f" of {', '.join(manifest.members)}"
    lines = [
        ("model", name),
        ("classes", f"{len(manifest.class_names)}: {', '.join(manifest.class_names)}"),
        *_assessed(manifest),
        ("network", f"{manifest.network}, {_numbers(manifest.shape)}"),
        *_backbone(manifest),
        ("images", f"{form.height} x {form.width} px, {form.color}; files are resized to cover "
         "this size, then cropped at the center"),
        ("detector", detector),
        *(("", f"without {name}: {why}") for name, why in manifest.left_out.items()),
        ("", ""),
        ("trained on", f"{training.normal}, lambda {training.weight:g}, seed {training.seed}"),
        ("", "; ".join(parts)),
        ("", ""),
        *_measured(manifest, guarantee or promise(manifest.alpha, manifest.guarantee)),
        *_learning_curve(manifest),
        ("", ""),
        *(("limits" if not i else "", limit) for i, limit in enumerate(limits(manifest))),
        ("", ""),
        ("made with", _numbers(manifest.created_by)),
        ("files", _numbers({file: f"{one.bytes:,} bytes" for file, one in manifest.files.items()})),
        ("SHA-256", f"{manifest.digest} (of manifest.json, which lists the SHA-256 of each file)"),
    ]  # fmt: skip
    return "\n".join(_wrapped(label, text) for label, text in lines) + "\n"


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return the content of summary.json in a model of `belong fit`.

    `model`, `class_names`, `alpha`, `guarantee`, and, as in manifest.json, `measured`,
    `assessment`, `cross_conformal` and `learning_curve`. False rejects are null if the test
    images also calibrate the threshold, as they are not measured then.
    """
    quality = manifest.model_dump(mode="json", include={"measured", "assessment"})
    if manifest.tests_itself:
        quality["measured"]["false_reject"] = None
        quality["assessment"]["false_rejects"] = None
    return {
        "model": {
            "detector": manifest.detector,
            "network": manifest.network,
            "manifest_sha256": manifest.digest,
        },
        "class_names": manifest.class_names,
        "alpha": manifest.alpha,
        "guarantee": {
            "kind": manifest.guarantee,
            "sentence": promise(manifest.alpha, manifest.guarantee),
            "calibration_images": manifest.n_calibration,
            "least_alpha": least_alpha(manifest.n_calibration, manifest.guarantee),
        },
        **quality,
        **manifest.model_dump(
            mode="json", include={"cross_conformal", "learning_curve"}, exclude_none=True
        ),
    }


def limits(manifest: Manifest) -> list[str]:
    """Return the limits of the model, in sentences."""
    n, alpha = manifest.n_calibration, manifest.alpha
    verb = "holds" if manifest.guarantee == CONDITIONAL else "holds on average,"
    sentences = [
        f"A rejected image may be normal: {percent_of(alpha)} of normal images are rejected, too.",
        f"This rate {verb} for images like the {n:,} calibration images: another camera "
        "or another time may change it.",
        "Every accepted image is assigned to one of the classes; the model knows no others.",
    ]
    if len(manifest.class_names) == 1:
        sentences.pop()
    if manifest.cross_conformal:
        sentences[1] = (
            f"This rate holds on average over sets of {n:,} images like these, provided that "
            "scores hardly change when a tenth of the images is left out (cross-conformal "
            "calibration). "
            "Another camera or another time may change it."
        )
    if manifest.threshold_from == "training":
        sentences[0] = (
            "The threshold is the paper's, from training images: more fresh images are rejected."
        )
    if reviewed := manifest.trained_on.images.get("reviewed_ours", 0):
        sentences.append(
            f"This rate does not cover {counted(reviewed, 'reviewed image')}, chosen by their "
            f"verdicts, which train the model but do not calibrate it."
        )
    if manifest.measured.anomalies:
        sentences.append(
            f"Anomaly detection was measured only on {manifest.trained_on.anomalies}; other "
            "anomalies may be harder."
        )
    else:
        sentences.append("Anomaly detection was not measured: there were no test anomalies.")
    return sentences


def in_words(manifest: Manifest) -> list[str]:
    """Return the sentences of the assessment; the last one is the verdict."""
    return [*manifest.assessment.sentences.values(), manifest.assessment.verdict]


def _assessed(manifest: Manifest) -> Iterable[tuple[str, str]]:
    *sentences, verdict = in_words(manifest)
    yield "", ""
    yield "verdict", verdict
    for sentence in sentences:
        yield "", sentence
    assessment = manifest.assessment
    if assessment.helps and assessment.is_fit:  # otherwise the verdict has them
        yield "what helps", f"{'; '.join(assessment.helps)}."
    yield "", ""


def _backbone(manifest: Manifest) -> Iterable[tuple[str, str]]:
    backbone = manifest.backbone
    if backbone is not None:
        yield "backbone", f"{backbone.name}; weights: {backbone.weights}"
        terms = backbone.license or "not stated by its source"
        forbidden = " (forbids commercial use)" if backbone.forbids_commercial_use else ""
        yield "license", f"{terms}{forbidden}, for the weights of the backbone"


def _measured(manifest: Manifest, guarantee: str) -> Iterable[tuple[str, str]]:
    measured = manifest.measured
    low, high = measured.expected
    cross = manifest.cross_conformal
    tested = "test images"
    if manifest.tests_itself:
        tested = "images, each scored by models fitted without it"
    normal, other = f"{measured.normal_images:,} {tested}", f"{measured.anomalies:,} anomalies"
    if measured.accuracy is not None:
        yield "accuracy", f"{measured.accuracy:.4f} on {normal}"
    if measured.auroc is not None and measured.false_accept is not None:
        yield "AUROC", f"{measured.auroc:.4f} on the same images and {other}"
        yield "false accepts", f"{percent(measured.false_accept, 3)} of {other}"
    rejected = (
        "not measured"
        if manifest.tests_itself
        else f"{percent(measured.false_reject, 3)} of {normal}"
    )
    yield "false rejects", f"{rejected}; promised: {percent_of(manifest.alpha)}"
    held_out = f"{manifest.n_calibration:,} calibration images"
    yield "", f"(expected with {held_out}: {percent(low, 3)} to {percent(high, 3)})"
    if cross:
        yield (
            "calibration",
            f"cross-conformal, {cross.folds} folds: all {manifest.n_calibration:,} training images "
            f"calibrate the threshold, each scored by models fitted without it",
        )
    if manifest.threshold_from == "calibrated":
        least = least_alpha(manifest.n_calibration, manifest.guarantee)
        yield "guarantee", f"{manifest.guarantee}: {guarantee}"
        yield "", f"(`belong score --alpha` changes it; the smallest possible rate is {least:g})"


def _learning_curve(manifest: Manifest) -> Iterable[tuple[str, str]]:
    curve = manifest.learning_curve
    for place, point in enumerate(curve.points if curve else ()):
        label = "" if place else "learning curve"
        yield (
            label,
            (
                f"{point.images:g} training images per class: accuracy {point.accuracy:.4f}, "
                f"AUROC {point.auroc:.4f} (classes left out)"
            ),
        )


def _numbers(values: dict[str, str] | dict[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _wrapped(label: str, text: str) -> str:
    start, more = label.ljust(INDENT), " " * INDENT
    return textwrap.fill(
        text, WIDTH, initial_indent=start, subsequent_indent=more, break_long_words=False
    )
