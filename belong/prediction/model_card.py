"""A model card in plain text: how good a model is, what it was trained on, where it ends.

After Mitchell et al., Model Cards for Model Reporting, 2019, https://arxiv.org/abs/1810.03993.
"""

import textwrap
from collections.abc import Iterable
from typing import Any

from belong.calibration.sample_size import CONDITIONAL, least_alpha
from belong.calibration.verdict_rule import promise
from belong.prediction.manifest import Manifest

WIDTH, INDENT = 100, 18


def card(manifest: Manifest, name: str, guarantee: str | None = None) -> str:
    """Return the card of the model that lies in the folder `name`; `guarantee`: in words."""
    form, made = manifest.form, manifest.trained_on
    parts = [f"{count:,} {part.replace('_', ' ')}" for part, count in made.images.items()]
    detector = manifest.detector
    if manifest.members:
        detector += f" of {', '.join(manifest.members)}"
    lines = [
        ("model", name),
        ("classes", f"{len(manifest.class_names)}: {', '.join(manifest.class_names)}"),
        *_assessed(manifest),
        ("network", f"{manifest.network}, {_numbers(manifest.shape)}"),
        *_backbone(manifest),
        ("images", f"{form.height} x {form.width} px, {form.color}; files are resized until they "
         "just cover that, and cut at the center"),
        ("detector", detector),
        *(("", f"without {name}: {why}") for name, why in manifest.left_out.items()),
        ("", ""),
        ("trained on", f"{made.normal}, lambda {made.weight:g}, seed {made.seed}"),
        ("", "; ".join(parts)),
        ("", ""),
        *_measured(manifest, guarantee or promise(manifest.alpha, manifest.guarantee)),
        ("", ""),
        *(("limits" if not i else "", limit) for i, limit in enumerate(limits(manifest))),
        ("", ""),
        ("made with", _numbers(manifest.created_by)),
        ("files", _numbers({file: f"{one.bytes:,} bytes" for file, one in manifest.files.items()})),
        ("SHA-256", f"{manifest.digest} (manifest.json, which holds those of the files)"),
    ]  # fmt: skip
    return "\n".join(_wrapped(label, text) for label, text in lines) + "\n"


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return the content of the summary.json that `belong fit` writes into a model.

    `model`, `class_names`, `alpha`, `guarantee`, and, as in manifest.json, `measured` and
    `assessment`.
    """
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
        **manifest.model_dump(mode="json", include={"measured", "assessment"}),
    }


def limits(manifest: Manifest) -> list[str]:
    """Return what the model cannot say, in plain sentences."""
    n, alpha = manifest.n_calibration, manifest.alpha
    kept = "holds" if manifest.guarantee == CONDITIONAL else "holds on average,"
    said = [
        f"A rejected image is not wrong: of those that belong, {alpha:.1%} are rejected too.",
        f"That rate {kept} for images that are like the {n:,} that set the threshold: "
        "another camera or another time may change it.",
        "Every image that belongs is given one of the classes; the model knows no others.",
    ]
    if manifest.threshold_from == "training":
        said[0] = (
            "The threshold is the paper's, of training images: fresh ones are rejected more often."
        )
    if manifest.measured.anomalies:
        said.append(
            f"How well it finds anomalies was measured on {manifest.trained_on.anomalies} only; "
            "other anomalies may be harder."
        )
    else:
        said.append("How well it finds anomalies was not measured: there were none.")
    return said


def in_words(manifest: Manifest) -> list[str]:
    """Return how good the model is, a sentence each; the last one is the verdict."""
    return [*manifest.assessment.sentences.values(), manifest.assessment.verdict]


def _assessed(manifest: Manifest) -> Iterable[tuple[str, str]]:
    *sentences, verdict = in_words(manifest)
    yield "", ""
    yield "verdict", verdict
    for sentence in sentences:
        yield "", sentence
    own = manifest.assessment
    if own.helps and own.is_fit:  # else the verdict ends with them
        yield "what helps", f"{'; '.join(own.helps)}."
    yield "", ""


def _backbone(manifest: Manifest) -> Iterable[tuple[str, str]]:
    known = manifest.backbone
    if known is not None:
        yield "backbone", f"{known.name}; weights: {known.weights}"
        terms = known.license or "not stated by its source"
        forbidden = " (forbids commercial use)" if known.forbids_commercial_use else ""
        yield "license", f"of the backbone's weights: {terms}{forbidden}"


def _measured(manifest: Manifest, guarantee: str) -> Iterable[tuple[str, str]]:
    got = manifest.measured
    low, high = got.expected
    normal, other = f"{got.normal_images:,} test images", f"{got.anomalies:,} anomalies"
    yield "accuracy", f"{got.accuracy:.4f} on {normal}"
    if got.auroc is not None and got.false_accept is not None:
        yield "AUROC", f"{got.auroc:.4f} on the same images and {other}"
        yield "false accepts", f"{got.false_accept:.2%} of {other}"
    yield "false rejects", f"{got.false_reject:.2%} of {normal}; {manifest.alpha:.2%} were promised"
    held_out = f"{manifest.n_calibration:,} calibration images"
    yield "", f"(after {held_out}, {low:.2%} to {high:.2%} is to be expected)"
    if manifest.threshold_from == "calibrated":
        least = least_alpha(manifest.n_calibration, manifest.guarantee)
        yield "guarantee", f"{manifest.guarantee}: {guarantee}"
        yield "", f"(`belong score --alpha` moves it; the least within reach is {least:g})"


def _numbers(values: dict[str, str] | dict[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _wrapped(label: str, text: str) -> str:
    start, more = label.ljust(INDENT), " " * INDENT
    return textwrap.fill(
        text, WIDTH, initial_indent=start, subsequent_indent=more, break_long_words=False
    )
