"""Write the sentence in the column `reason` of predictions.csv."""

import re

from belong.runtime.text import percent

FRAMES = re.compile(r"; the first of \d+ frames$")


def reason(
    *,
    belongs: bool,
    p_value: float,
    detector: str,
    name: str,
    nearest: str,
    distance: float,
    frames: int = 1,
) -> str:
    """Explain a verdict in a sentence.

    Args:
        belongs: the verdict.
        p_value: the conformal p-value, above 0 to 1: the share of calibration images that are at
            least as unusual.
        detector: the detector that decided, see `Scores`.
        name: the predicted class.
        nearest: the nearest class.
        distance: the distance to the nearest class; 1 is the calibrated limit.
        frames: number of frames in the file, of which the first was scored.
    """
    note = f"; the first of {frames} frames" if frames > 1 else ""
    share = f"{percent(p_value, 3)} of the images that belong are at least as unusual"
    if belongs:
        return f"like {name}; {share}{note}"
    # Imported here: the registry imports torch, which is loaded after scoring anyway.
    from belong.detectors.registry import OF_MODELS

    place = f"distance to the nearest class, {nearest}: {distance:.2g} times the calibrated limit"
    return f"{OF_MODELS[detector].odd}; {share}; {place}{note}"


def frames_note(sentence: str) -> str:
    """Return the note on frames in a sentence of `reason`; "" if there is none."""
    note = FRAMES.search(sentence)
    return note.group() if note else ""
