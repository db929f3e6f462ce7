"""The sentence in the column `reason` of predictions.csv."""

import re

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
    """Return the sentence.

    Args:
        belongs: the verdict.
        p_value: the share of the held-out images that are at least as unusual.
        detector: that decided, see `Scores`.
        name: the predicted class.
        nearest: the nearest class.
        distance: to it; 1 is the limit calibrated on held-out images.
        frames: in the file, whose first one this is.
    """
    which = f"; the first of {frames} frames" if frames > 1 else ""
    share = f"{_percent(p_value)} of the images that belong are at least as unusual"
    if belongs:
        return f"like {name}; {share}{which}"
    # Not at the top: the registry brings torch, and whoever scored has it; other readers do not.
    from belong.detectors.registry import DETECTORS

    where = f"{distance:.2g} times the calibrated limit from the nearest class, {nearest}"
    return f"{DETECTORS[detector].odd}; {share}; {where}{which}"


def frames_note(sentence: str) -> str:
    """Return what `reason` said of the frames of a file; "" if there is one."""
    note = FRAMES.search(sentence)
    return note.group() if note else ""


def _percent(share: float) -> str:
    """Return a share in percent; of a small one, that it is small."""
    return "less than 0.1 %" if share < 0.001 else f"{share * 100:.3g} %"
