"""Compare the outputs of an ONNX graph with those of the library."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from belong.calibration.verdict_rule import VerdictRule
from belong.detectors.combined import Combination
from belong.models.device import use_threads
from belong.prediction.bundle import Bundle
from belong.prediction.manifest import IntegrityError
from belong.prediction.predictor import Predictor
from belong.prediction.rule_of_model import rule_of
from belong.runtime.text import counted

PATTERN = "active_nodes"
MOST = 1e-4  # maximum difference of scores
MOST_STEPS = 0.001  # maximum share of images with a step of `active_nodes`, rounded up
THREADS = 1


@dataclass
class Compared:
    """The differences between graph and library on n images.

    Attributes:
        n: number of images.
        labels: number of different labels.
        verdicts: number of different verdicts.
        ties: number of further different verdicts that a permitted difference of scores explains,
            such as for an image that is itself a held-out image.
        steps: number of scores of `active_nodes` that differ by more than permitted. A node with
            the value 0 in one and 1e-8 in the other is active in one of them only.
        detectors: maximum difference of another detector's score, divided by the score, or by the
            standard deviation of the held-out scores if that is larger. A score below all held-out
            scores counts as their minimum, as the verdict does not depend on its value.
        combined: maximum difference between the graph's combined score and that of
            `detectors.combined` from the graph's scores of the members.
        score: maximum difference of the deciding score. The combined score is not continuous: a
            difference in the last bit of a member may change the rank among the held-out scores.
    """

    n: int = 0
    labels: int = 0
    verdicts: int = 0
    ties: int = 0
    steps: int = 0
    detectors: float = 0.0
    combined: float = 0.0
    score: float = 0.0

    @property
    def is_same(self) -> bool:
        """Whether no verdict or label differs, and no score by more than MOST, except steps."""
        flips, steps = self.labels + self.verdicts, math.ceil(MOST_STEPS * self.n)
        return not flips and self.steps <= steps and max(self.detectors, self.combined) <= MOST

    @property
    def text(self) -> str:
        """The differences in one line."""
        return (
            f"{counted(self.n, 'image')} compared: {self.labels} classes and {self.verdicts} "
            f"verdicts differ; largest relative difference of a detector's score "
            f"{self.detectors:.2g}, of a combined score {self.combined:.2g} (limit {MOST:g}); "
            f"{PATTERN}: {self.steps} steps differ"
            + (f"; {counted(self.ties, 'tie')} with held-out images" if self.ties else "")
        )


def compare(
    bundle: Bundle, model: Path, batches: Iterable[np.ndarray], *, rule: VerdictRule | None = None
) -> Compared:
    """Run graph and library on batches of images (n, ch, h, w) uint8, on the CPU.

    `rule` decides in both; None: the model's own rule.
    """
    rule = rule or rule_of(bundle)
    use_threads(THREADS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    outputs = [output.name for output in session.get_outputs()]
    manifest, held_out = bundle.manifest, bundle.arrays["calibration"]
    predictor = Predictor(bundle, device=torch.device("cpu"))
    fitted = {name: held_out[f"member/{name}"] for name in manifest.members}
    combination = Combination.fit(fitted, tail=manifest.tail, rule=manifest.combination)
    spread = fitted or {manifest.detector: held_out[manifest.detector]}
    comparison = Compared()
    for images in batches:
        pixels = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        graph_outputs = dict(zip(outputs, session.run(None, {"images": pixels}), strict=True))
        expected, scores = predictor.score(images).by(rule), predictor.detector_scores(images)
        by_detector = dict(zip(spread, graph_outputs["detectors"].T, strict=True))
        comparison.n += len(images)
        comparison.labels += int((graph_outputs["label"] != expected.label).sum())
        units = {name: _units(scores[name], spread[name]) for name in by_detector}
        ends = (
            {name: scores[name] + sign * MOST * unit for name, unit in units.items()}
            for sign in (-1, 1)
        )
        least, most = (combination.score(end) if fitted else end[manifest.detector] for end in ends)
        differs = graph_outputs["belongs"] != expected.belongs
        is_tie = differs & rule.belongs(least, expected.label) & ~rule.belongs(most, expected.label)
        comparison.ties += int(is_tie.sum())
        comparison.verdicts += int((differs & ~is_tie).sum())
        for name, values in by_detector.items():
            off = relative_differences(values, scores[name], spread[name])
            if name == PATTERN:
                comparison.steps += int((off > MOST).sum())
            else:
                comparison.detectors = max(comparison.detectors, float(off.max()))
        if fitted:
            off = _apart(graph_outputs["score"], combination.score(by_detector))
            comparison.combined = max(comparison.combined, float(off.max()))
        comparison.score = max(
            comparison.score, float(_apart(graph_outputs["score"], expected.score).max())
        )
    return comparison


def relative_differences(
    graph_scores: np.ndarray, scores: np.ndarray, held_out: np.ndarray
) -> np.ndarray:
    """Return the differences of a detector's scores (n,), in the units of `Compared.detectors`."""
    unit, least = _units(scores, held_out), held_out.min()
    apart = _apart(np.maximum(graph_scores, least), np.maximum(scores, least))
    return apart / np.where(unit > 0, unit, 1)


def _units(scores: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.abs(scores), held_out.std()))


def check(compared: Compared, model: str) -> None:
    """Refuse a graph that differs from the model.

    Raises:
        IntegrityError: the message has the differences.
    """
    if not compared.is_same:
        raise IntegrityError(f"{model}: differs from the model; {compared.text}")


def _apart(values: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return absolute differences; infinite for a value that is not a number."""
    off = np.abs(values.astype(np.float64) - expected.astype(np.float64))
    return np.nan_to_num(off, nan=np.inf)
