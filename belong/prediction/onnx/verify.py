"""Whether a graph says of images what the library says of them."""

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
from belong.prediction.verdict_rules import rule_of
from belong.runtime.text import counted

PATTERN = "active_nodes"
MOST = 1e-4  # that scores may differ by
MOST_STEPS = 0.001  # share of the images, rounded up
THREADS = 1


@dataclass
class Compared:
    """What was found on n images.

    Attributes:
        n: the images.
        labels, verdicts: so many differ.
        ties: so many verdicts more differ where a difference of scores that is allowed explains it,
            as where an image has the score of a held-out one: it is one of them.
        steps: so many scores of `active_nodes` differ by more than is allowed. A node whose value
            is 0 in one and 1e-8 in the other is active in one of them only, and the score jumps.
        detectors: the largest difference of another detector's score, as a share of the score,
            or of the standard deviation of the held-out scores where that is larger. A score below
            all held-out ones counts as the least of them, as its verdict does not depend on it.
        combined: the largest difference between the graph's score and what `detectors.combined`
            makes of the graph's own scores of the members.
        score: the largest difference of the score in force. Of `combined` it goes by steps: a
            member's score that differs in its last bit may pass that of one held-out image.
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
        """No flip, and no score that differs by more than a ten-thousandth, steps apart."""
        flips, steps = self.labels + self.verdicts, math.ceil(MOST_STEPS * self.n)
        return not flips and self.steps <= steps and max(self.detectors, self.combined) <= MOST

    @property
    def text(self) -> str:
        """One line."""
        return (
            f"{counted(self.n, 'image')} compared: label flips {self.labels}, verdict flips "
            f"{self.verdicts}, largest difference of a detector's score {self.detectors:.2g} (of "
            f"the score, or of the spread of held-out ones) and of their combination "
            f"{self.combined:.2g}, where {MOST:g} is allowed; {self.steps} steps of {PATTERN}"
            + (f"; {counted(self.ties, 'tie')} with held-out images" if self.ties else "")
        )


def compare(
    bundle: Bundle, model: Path, batches: Iterable[np.ndarray], *, rule: VerdictRule | None = None
) -> Compared:
    """Run both on batches of images (n, ch, h, w) uint8, on the CPU; `rule` decides in both."""
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
    seen = Compared()
    for images in batches:
        pixels = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        got = dict(zip(outputs, session.run(None, {"images": pixels}), strict=True))
        expected, scores = predictor.score(images).by(rule), predictor.detector_scores(images)
        by_detector = dict(zip(spread, got["detectors"].T, strict=True))
        seen.n += len(images)
        seen.labels += int((got["label"] != expected.label).sum())
        units = {name: _units(scores[name], spread[name]) for name in by_detector}
        ends = (
            {name: scores[name] + sign * MOST * unit for name, unit in units.items()}
            for sign in (-1, 1)
        )
        least, most = (combination.score(end) if fitted else end[manifest.detector] for end in ends)
        differs = got["belongs"] != expected.belongs
        is_tie = differs & rule.belongs(least, expected.label) & ~rule.belongs(most, expected.label)
        seen.ties += int(is_tie.sum())
        seen.verdicts += int((differs & ~is_tie).sum())
        for name, values in by_detector.items():
            off = relative_differences(values, scores[name], spread[name])
            if name == PATTERN:
                seen.steps += int((off > MOST).sum())
            else:
                seen.detectors = max(seen.detectors, float(off.max()))
        if fitted:
            off = _apart(got["score"], combination.score(by_detector))
            seen.combined = max(seen.combined, float(off.max()))
        seen.score = max(seen.score, float(_apart(got["score"], expected.score).max()))
    return seen


def relative_differences(got: np.ndarray, scores: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Return how far a detector's scores (n,) lie apart, in the units of `Compared.detectors`."""
    unit, least = _units(scores, held_out), held_out.min()
    apart = _apart(np.maximum(got, least), np.maximum(scores, least))
    return apart / np.where(unit > 0, unit, 1)


def _units(scores: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.abs(scores), held_out.std()))


def check(compared: Compared, model: str) -> None:
    """Refuse a graph that says something else.

    Raises:
        IntegrityError: what differs.
    """
    if not compared.is_same:
        raise IntegrityError(f"{model}: differs from the model; {compared.text}")


def _apart(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return how far numbers lie apart; what is not a number is further off than all others."""
    off = np.abs(got.astype(np.float64) - expected.astype(np.float64))
    return np.nan_to_num(off, nan=np.inf)
